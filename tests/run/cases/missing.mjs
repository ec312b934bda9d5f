// SPDX-License-Identifier: MIT
import './lib/not-there.mjs';
