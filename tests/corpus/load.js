// SPDX-License-Identifier: MIT
//
// Loads one CommonJS bundle as Node's own loader does and prints as JSON what that took:
//   node load.js FILE BLOB|'' [WHAT-IT-REQUIRES...]
// The time is that of compiling and of running the top level. Starting Node, reading the files and loading what the
// bundle requires are not in it.
'use strict';

const fs = require('fs');
const path = require('path');
const vm = require('vm');
const { createRequire } = require('module');

const [file, blob, ...requires] = process.argv.slice(2);
const source = fs.readFileSync(file, 'utf8');
const cachedData = blob ? fs.readFileSync(blob) : undefined;
const bundle = { exports: {}, require: createRequire(file) };
requires.forEach((name) => bundle.require(name));
const print = console.log;
console.log = console.info = () => {}; // vue greets

const start = process.hrtime.bigint();
const load = vm.compileFunction(source, ['exports', 'require', 'module', '__filename', '__dirname'], {
  filename: file,
  cachedData,
});
load.call(bundle.exports, bundle.exports, bundle.require, bundle, file, path.dirname(file));
const ms = Number(process.hrtime.bigint() - start) / 1e6;

print(JSON.stringify({ ms, rejected: load.cachedDataRejected }));
