// SPDX-License-Identifier: MIT
//
// assert: npm's.
'use strict';

module.exports = require('npm/assert/build/assert');
