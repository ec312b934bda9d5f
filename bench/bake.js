// SPDX-License-Identifier: MIT
//
// The peer of `kiln precompile`, what one writes in Node to bake files one by one: node bake.js MODE DIR FILE...
// MODE eager compiles every function, as bytenode does, the way there is in Node.
'use strict';

const fs = require('fs');
const path = require('path');
const v8 = require('v8');
const vm = require('vm');

const [mode, dir, ...files] = process.argv.slice(2);
if (mode === 'eager') v8.setFlagsFromString('--no-lazy');
for (const file of files) {
  const script = new vm.Script(fs.readFileSync(file, 'utf8'), { filename: file });
  fs.writeFileSync(path.join(dir, `${files.indexOf(file)}.blob`), script.createCachedData());
}
