// SPDX-License-Identifier: MIT
// From the Russian document, word for word.

const vm = require('node:vm');
let localVar = 'начальное значение';

const vmResult = vm.runInThisContext('localVar = "vm";');
console.log(
    `vmResult: '${vmResult}', localVar: '${localVar}'`
);
// Печатает: vmResult: 'vm', localVar: 'начальное значение'

const evalResult = eval('localVar = "eval";');
console.log(
    `evalResult: '${evalResult}', localVar: '${localVar}'`
);
// Печатает: evalResult: 'eval', localVar: 'eval'
