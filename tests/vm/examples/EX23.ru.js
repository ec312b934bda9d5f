// SPDX-License-Identifier: MIT
// From the Russian document, word for word.

const vm = require('node:vm');

function loop() {
    while (1) console.log(Date.now());
}

vm.runInNewContext(
    'Promise.resolve().then(() => loop());',
    { loop, console },
    { timeout: 5, microtaskMode: 'afterEvaluate' }
);
