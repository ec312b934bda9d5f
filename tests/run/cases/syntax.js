// SPDX-License-Identifier: MIT
let ok = 1;
	var = 2;
