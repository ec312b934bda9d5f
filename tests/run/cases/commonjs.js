// SPDX-License-Identifier: MIT
'use strict';

const path = require('path');
console.log(this === exports, exports === module.exports, module.id, module.loaded, require.main === module);
console.log(path.basename(__filename), path.basename(__dirname), typeof module.require, module.children.length);
console.log(require('./lib/folder'), require('./lib/folder/'), require('./lib/packaged'), require('./lib/data'));
console.log(require('./lib/cycle_a'));
console.log(require('./lib/counted.cjs') === require(`${__dirname}/lib/../lib/counted.cjs`), counted);
delete require.cache[require.resolve('./lib/counted.cjs')];
require('./lib/counted.cjs');
console.log(counted, Object.keys(require.cache).map((file) => path.basename(file)).sort());
console.log(require('simple'), require('simple/sub'), require('exporting'), require('exporting/deep/c'));
console.log(require('@scope/one'), path.relative(__dirname, require.resolve('simple')), require.resolve('fs'));
console.log(require('fs') === require('node:fs'));
for (const id of ['./lib/none', 'none', 'exporting/lib/c.cjs', './lib/bad.json', './lib/throws', './lib/meta.mjs', '',
  'node:none']) {
  try {
    require(id);
    console.log('no error', id);
  } catch (error) {
    console.log(id, error.name, id === 'exporting/lib/c.cjs' || id === 'node:none' ? '' : error.code,
      error.message.split('\n')[0].replaceAll(__dirname, '').slice(0, 60));
  }
}
try {
  require(5);
} catch (error) {
  console.log(error.code, error.message);
}
const { createRequire } = require('module');
console.log(createRequire(`${__dirname}/lib/x.js`)('./data').name, createRequire(__filename).resolve('./lib/data.json') === `${__dirname}/lib/data.json`);
(async () => {
  console.log((await import('./lib/named.mjs')).default.name);
  console.log((await import('./lib/only.cjs')).default === require('./lib/only.cjs'));
  console.log(await import('./lib/none.mjs').catch((error) => error.code));
  console.log('of eval', (await (0, eval)("import('./lib/named.mjs')")).count);
})();
