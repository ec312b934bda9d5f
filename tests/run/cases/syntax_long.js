// SPDX-License-Identifier: MIT
const identifier other = 1;
