// SPDX-License-Identifier: MIT
// From the Russian document, word for word.

const vm = require('node:vm');

global.globalVar = 0;

const script = new vm.Script('globalVar += 1', {
    filename: 'myfile.vm',
});

for (let i = 0; i < 1000; ++i) {
    script.runInThisContext();
}

console.log(globalVar);

// 1000
