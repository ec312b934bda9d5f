// SPDX-License-Identifier: MIT
// From the Russian document, word for word.
// Repair D01: the document's source begins with a stray }.
// Added: what the document takes for granted.
const vm = require('vm');

const script = new vm.Script(`
function add(a, b) {
  return a + b;
}

const x = add(1, 2);
`);

const cacheWithoutAdd = script.createCachedData();
// В `cacheWithoutAdd` функция `add()` помечена для полной компиляции
// при вызове.

script.runInThisContext();

const cacheWithAdd = script.createCachedData();
// `cacheWithAdd` содержит полностью скомпилированную функцию `add()`.

// Added: shows what the document says.
console.log(cacheWithAdd.length > cacheWithoutAdd.length ? 'larger after the run' : 'not larger');
