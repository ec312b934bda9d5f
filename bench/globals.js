// SPDX-License-Identifier: MIT
//
// The peer of kiln-bench's `globals`: node globals.js FUNCTION N calls FUNCTION, a function of N, in a context over
// an object with a property `count`, and prints the nanoseconds it took.
'use strict';

const vm = require('vm');

const [source, n] = process.argv.slice(2);
const run = vm.runInContext(source, vm.createContext({ count: 1 }));
const start = process.hrtime.bigint();
run(Number(n));
console.log(String(process.hrtime.bigint() - start));
