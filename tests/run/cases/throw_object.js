// SPDX-License-Identifier: MIT
throw { a: 1 };
