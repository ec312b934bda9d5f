// SPDX-License-Identifier: MIT
'use strict';

const path = require('path');
const cases = ['', '.', '..', '/', '//', 'a', 'a/', '/a', '/a/b.c.d', 'a/../b', '../../x', '/../a', './a/./b/', 'a//b///c', '.x', 'x.', '..x', '/a/b/../..', 'a.b/c', '...'];
for (const one of cases) {
  console.log(JSON.stringify(one), path.normalize(one), path.dirname(one), path.basename(one), path.extname(one), path.isAbsolute(one), path.parse(one), path.resolve('/base', one), path.join('x', one));
}
console.log(path.basename('a.js', '.js'), path.basename('.js', '.js'), path.relative('/a/b/c', '/a/d'), path.relative('/a', '/a'), path.relative('/', '/x'), path.join(), path.join('', ''), path.format({ dir: '/a', name: 'b', ext: '.c' }), path.sep, path.delimiter, path.posix === path);
try {
  path.join(5);
} catch (error) {
  console.log(error.code, error.message);
}
