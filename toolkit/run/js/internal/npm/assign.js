// SPDX-License-Identifier: MIT
//
// What npm's assert gets for object.assign/polyfill.
'use strict';

module.exports = () => Object.assign;
