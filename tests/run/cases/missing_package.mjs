// SPDX-License-Identifier: MIT
import 'no-such-package';
