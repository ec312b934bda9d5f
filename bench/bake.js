// SPDX-License-Identifier: MIT
//
// The peer of `kiln precompile`, what one writes in Node to bake files one by one: node bake.js DIR FILE...
'use strict';

const fs = require('fs');
const path = require('path');
const vm = require('vm');

const [dir, ...files] = process.argv.slice(2);
for (const file of files) {
  const script = new vm.Script(fs.readFileSync(file, 'utf8'), { filename: file });
  fs.writeFileSync(path.join(dir, `${files.indexOf(file)}.blob`), script.createCachedData());
}
