// SPDX-License-Identifier: MIT
throw () => 1;
