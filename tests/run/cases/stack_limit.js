// SPDX-License-Identifier: MIT
// flags: --stack-trace-limit=2
function f(n) { return n === 0 ? new Error('x').stack.split('\n').length : f(n - 1); }
console.log(f(10), Error.stackTraceLimit);
