// SPDX-License-Identifier: MIT
// Without --experimental-vm-modules.
// flags: --expose-gc --no-warnings
'use strict';
const assert = require('assert');
const vm = require('vm');
const { test, rejects } = require('./harness.js');

test('G08', 'without --experimental-vm-modules there are no module classes', () => {
  for (const name of ['Module', 'SourceTextModule', 'SyntheticModule']) assert.strictEqual(vm[name], undefined);
});

test('N13', 'and a callback for import() is ignored: import() says that the flag is missing', { node: 22 }, async () => {
  let calls = 0;
  const importModuleDynamically = () => { calls++; };
  const want = { code: 'ERR_VM_DYNAMIC_IMPORT_CALLBACK_MISSING_FLAG', name: 'TypeError' };
  await rejects(vm.runInThisContext('import("x")', { importModuleDynamically }), want);
  await rejects(vm.compileFunction('return import("x")', [], { importModuleDynamically })(), want);
  assert.strictEqual(calls, 0);
});

test('SC16', 'without a callback it is the callback that is missing', async () => {
  await rejects(vm.runInThisContext('import("x")'), 'ERR_VM_DYNAMIC_IMPORT_CALLBACK_MISSING');
});

test('G01', 'scripts, functions and contexts work as ever', () => {
  assert.strictEqual(new vm.Script('6 * 7').runInContext(vm.createContext()), 42);
  assert.strictEqual(vm.compileFunction('return 6 * a', ['a'])(7), 42);
});
