// SPDX-License-Identifier: MIT
// What is dropped is collected, cycles through callbacks and all: each test makes far more than a small heap holds.
// oracle: none. Node 18 and 26 pass; 20, 22 and 24 run out of memory in the first test.
// flags: --experimental-vm-modules --expose-gc --no-warnings --max-old-space-size=32
'use strict';
const assert = require('assert');
const vm = require('vm');
const { test, rejects, tick } = require('./harness.js');

// Makes `count` of something, each heavy; lets finalizers run now and then.
async function many(count, make) {
  for (let i = 0; i < count; i++) {
    await make(i);
    if (i % 64 === 63) await tick();
  }
}
const heavy = (i) => new Array(4096).fill(i);

test('P05', '4096 modules with callbacks', async () => {
  await many(4096, (i) => {
    const payload = heavy(i);
    const module = new vm.SourceTextModule(`export const f = () => import("x${i % 7}"); export default import.meta`, {
      importModuleDynamically: () => [module, payload],
      initializeImportMeta: (meta) => { meta.self = [module, payload]; },
    });
    return module;
  });
});

test('P05', '1000 modules that are linked, evaluated and reach themselves', async () => {
  await many(1000, async (i) => {
    const payload = heavy(i);
    const module = new vm.SourceTextModule(`import "self"; export const payload = import.meta.payload; export const f = () => import("x")`, {
      importModuleDynamically: () => module,
      initializeImportMeta: (meta) => { meta.payload = payload; },
    });
    await module.link(() => module);
    await module.evaluate();
    assert.strictEqual(module.namespace.payload, payload);
  });
});

test('P03', '2048 scripts and 2048 functions with callbacks that reach them', async () => {
  await many(2048, (i) => {
    const payload = heavy(i);
    const script = new vm.Script(`() => import("x${i % 7}")`, { importModuleDynamically: () => [script, payload] });
    script.keep = script.runInThisContext();
  });
  await many(2048, (i) => {
    const payload = heavy(i);
    const made = vm.compileFunction(`return import("x${i % 7}")`, [], { importModuleDynamically: () => [made, payload] });
    made.keep = made;
  });
});

test('P27', '300 contexts, contextified, with a queue of their own, and plain', async () => {
  const { DONT_CONTEXTIFY } = vm.constants || {};
  await many(300, (i) => {
    const options = i % 3 === 1 ? { microtaskMode: 'afterEvaluate' } : {};
    const context = vm.createContext(i % 3 === 2 && DONT_CONTEXTIFY ? DONT_CONTEXTIFY : {}, options);
    context.own = context;
    context.payload = heavy(i);
    vm.runInContext('var list = [globalThis, payload]; Promise.resolve(list).then((l) => l.length)', context);
  });
});

test('P01 P02', 'functions outlive their script, and may import() when all else is collected', async () => {
  const made = [];
  await many(200, (i) => {
    const payload = heavy(i);
    made.push(new vm.Script('() => import("x")', { importModuleDynamically: () => { throw new Error(`mine ${payload[0]}`); } }).runInThisContext());
    made.push(vm.compileFunction('return import("x")', [], { importModuleDynamically: () => { throw new Error(`mine ${payload[0]}`); } }));
    while (made.length > 20) made.shift();
  });
  globalThis.gc();
  await tick();
  globalThis.gc();
  for (const f of made) await rejects(f(), { message: /^mine 1[89]\d$/ });
});

test('P06', 'a synthetic module and its importers are collected', async () => {
  await many(1000, async (i) => {
    const payload = heavy(i);
    const synthetic = new vm.SyntheticModule(['payload', 'self'], function () {
      synthetic.setExport('payload', payload);
      synthetic.setExport('self', synthetic);
    });
    const user = new vm.SourceTextModule('import { payload, self } from "s"; export default [payload, self]');
    await user.link(() => synthetic);
    await user.evaluate();
    assert.strictEqual(user.namespace.default[1], synthetic);
  });
});
