// SPDX-License-Identifier: MIT
// What the documents say in prose: createCachedData() gives what the Script constructor takes as cachedData.
'use strict';
const vm = require('vm');

const code = 'function add(a, b) { return a + b; } add(20, 22);';
const cachedData = new vm.Script(code).createCachedData();
const script = new vm.Script(code, { cachedData });
console.log(script.cachedDataRejected);
console.log(script.runInThisContext());
console.log(new vm.Script(code).cachedDataRejected);
