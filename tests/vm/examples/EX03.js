// SPDX-License-Identifier: MIT
// From the Russian document, word for word.

const vm = require('node:vm');

const script = new vm.Script(`
function myFunc() {}
//# sourceMappingURL=sourcemap.json
`);

console.log(script.sourceMapURL);
// Печать: sourcemap.json
