// SPDX-License-Identifier: MIT
require('./lib/broken.cjs');
