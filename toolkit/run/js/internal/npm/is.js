// SPDX-License-Identifier: MIT
//
// What npm's assert gets for object-is/polyfill.
'use strict';

module.exports = () => Object.is;
