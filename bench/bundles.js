// SPDX-License-Identifier: MIT
//
// Prints the files, a line each, of what a release engineer would have baked from the folders that the corpus's bundles
// stand in: every script of 64 KiB and more. ES modules are left out, since vm.Script, the peer's, has no use for them.
'use strict';

const fs = require('fs');
const path = require('path');
const vm = require('vm');

for (const dir of new Set(process.argv.slice(2).map((file) => path.dirname(file)))) {
  for (const name of fs.readdirSync(dir).sort()) {
    const file = path.join(dir, name);
    if (!/\.c?js$/.test(name) || fs.statSync(file).size < 65536) continue;
    try {
      new vm.Script(fs.readFileSync(file, 'utf8'));
    } catch (error) {
      if (!(error instanceof SyntaxError)) throw error;
      continue;
    }
    console.log(file);
  }
}
