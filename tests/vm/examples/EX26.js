// SPDX-License-Identifier: MIT
// What the documents say in prose: runInThisContext(code) is like the indirect eval (0,eval)('code').
const vm = require('vm');
const local = 'not seen';

console.log(vm.runInThisContext('typeof local'), (0,eval)('typeof local'));
vm.runInThisContext('var byVm = 1');
(0,eval)('var byEval = 2');
console.log(byVm + byEval, vm.runInThisContext('this === globalThis'), (0,eval)('this === globalThis'));
