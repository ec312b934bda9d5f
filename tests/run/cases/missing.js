// SPDX-License-Identifier: MIT
require('./lib/chain.js');
