// SPDX-License-Identifier: MIT
// From the English documents, word for word.
// Added: what the document takes for granted.
const vm = require('vm');

const script = new vm.Script(`
function add(a, b) {
  return a + b;
}

const x = add(1, 2);
`);

const cacheWithoutX = script.createCachedData();

script.runInThisContext();

const cacheWithX = script.createCachedData();

// Added: shows what the document says.
console.log(cacheWithX.length > cacheWithoutX.length ? 'larger after the run' : 'not larger');
