// SPDX-License-Identifier: MIT
// From the Russian document, word for word.
// Added: what the document takes for granted.
import strict from 'assert';
const assert = { strictEqual(...args) { strict.strictEqual(...args); console.log('asserted'); } };

import vm from 'node:vm';

const m = new vm.SyntheticModule(['x'], () => {
    m.setExport('x', 1);
});

await m.link(() => {});
await m.evaluate();

assert.strictEqual(m.namespace.x, 1);
