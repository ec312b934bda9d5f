// SPDX-License-Identifier: MIT
// From the English documents, word for word.
// Added: the block, because a CommonJS file has a `module` already.

{
const vm = require('vm');

const source = '{ "a": 1 }';
const module = new vm.SyntheticModule(['default'], function() {
  const obj = JSON.parse(source);
  this.setExport('default', obj);
});

// Use `module` in linking...

// Added: shows what the document says.
const user = new vm.SourceTextModule('import x from "x"; globalThis.seen = x.a;');
user.link(() => module).then(() => user.evaluate()).then(() => console.log(globalThis.seen));
}
