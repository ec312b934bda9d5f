// SPDX-License-Identifier: MIT
// flags: --no-warnings
import fs, { readFileSync, existsSync as exists } from 'node:fs';
import * as vm from 'vm';
import renamed, { count, add, self } from './lib/named.mjs';
import * as named from './lib/named.mjs';
import counted, { first, second } from './lib/counted.cjs';
import Only from './lib/only.cjs';
import data from './lib/data.json' assert { type: 'json' };
import byImport from 'exporting';
import { a, ready } from './lib/ring_a.mjs';
import { here } from './lib/meta.mjs';
import * as mod from './esm/mod.js';
import './lib/tla_b.mjs';
import { order } from './lib/tla_a.mjs';

console.log(this, typeof require, typeof exports, typeof __filename);
console.log(typeof readFileSync, exists === fs.existsSync, typeof vm.Script, typeof vm.default.createContext);
console.log(renamed.name, count, add(), count, self === named, Object.keys(named));
console.log(counted, first, second(), Only.name, data, byImport, a(), ready);
console.log(order, mod, here.split('/').slice(-2), import.meta.url.split('/').pop(), import.meta.url.startsWith('file:///'));
console.log(Object.getPrototypeOf(import.meta), named[Symbol.toStringTag], Object.isSealed(named));
try {
  named.count = 5;
} catch (error) {
  console.log(error.message);
}
console.log((await import('./lib/data.json', { assert: { type: 'json' } })).default === data);
console.log(await import('data:text/javascript,export default 5'), (await import('./lib/named.mjs')) === named);
console.log((await import('./lib/named.mjs?again')) === named, (await import('./lib/named.mjs?again')).count);
const failures = [
  './lib/none.mjs', './lib', './lib/data.json', './lib/throws.mjs', './lib/throws.mjs', 'none', 'http://x/y.mjs', './lib/broken.cjs',
  './lib/unknown.xyz', 'node:none', './lib/data.json#assert',
];
for (const specifier of failures) {
  try {
    console.log('no error', specifier, await import(specifier));
  } catch (error) {
    console.log(specifier, error.name, error.code ?? error.message);
  }
}
console.log(await (await import('./lib/asks_itself.mjs')).self);
const throwing = [import('./lib/throws.mjs'), import('./lib/throws.mjs')];
const reasons = await Promise.all(throwing.map((promise) => promise.catch((error) => error)));
console.log(reasons[0] === reasons[1], reasons[0].message);
const slow = await Promise.race([new Promise((resolve) => setTimeout(resolve, 2, 'slow')), new Promise(() => {})]);
console.log(slow);
