// SPDX-License-Identifier: MIT
// From the English documents: EX23 with the change that their prose makes.

const vm = require('vm');

function loop() {
  while (1) console.log(Date.now());
}

vm.runInNewContext(
  'Promise.resolve().then(loop);',
  { loop, console },
  { timeout: 5, microtaskMode: 'afterEvaluate' }
);

// Added: shows what the document says.
console.log('returned');
