// SPDX-License-Identifier: MIT
  throw 'abc';
