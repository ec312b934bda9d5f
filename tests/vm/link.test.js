// SPDX-License-Identifier: MIT
// module.link(linker).
'use strict';
const assert = require('assert');
const vm = require('vm');
const { test, throws, rejects, not, plain, tick, noLinker, linkWith, evaluated } = require('./harness.js');
const { SourceTextModule, SyntheticModule } = vm;

test('ML01 OLD16', 'link() is for once', async () => {
  const module = await linkWith(new SourceTextModule('export default 1'), {});
  await rejects(module.link(noLinker), { code: 'ERR_VM_MODULE_ALREADY_LINKED', name: 'Error', message: 'Module has already been linked' });
  await module.evaluate();
  await rejects(module.link(noLinker), { code: /^ERR_VM_MODULE_(STATUS|ALREADY_LINKED)$/ });
});

test('ML01', 'link() while linking is refused', async () => {
  const module = new SourceTextModule('import "x"');
  let answer;
  const linked = module.link(() => new Promise((resolve) => { answer = resolve; }));
  await rejects(module.link(noLinker), { code: /^ERR_VM_MODULE_(STATUS|ALREADY_LINKED)$/ });
  await tick();
  answer(new SourceTextModule(''));
  await linked;
  assert.strictEqual(module.status, 'linked');
});

test('ML02 ML04 D10', 'the linker gets specifier, referencing module and extra', async () => {
  const calls = [];
  const module = new SourceTextModule('import "a"; import b from "b" with { type: "json", other: "x" }');
  await module.link((...args) => {
    calls.push(args);
    return new SourceTextModule('export default 1');
  });
  assert.deepStrictEqual(calls.map(([specifier]) => specifier), ['a', 'b']);
  assert.deepStrictEqual(calls.map(([, referrer]) => referrer === module), [true, true]);
  assert.deepStrictEqual(calls.map(([, , extra]) => plain(extra.attributes)), [{}, { type: 'json', other: 'x' }]);
  assert.deepStrictEqual(calls.map(([, , extra]) => plain(extra.assert)), [{}, { type: 'json', other: 'x' }]);
});

test('ML05 D12', 'attributes that nobody knows are passed on and are no error', async () => {
  const module = new SourceTextModule('import x from "x" with { nobody: "knows" }; export default x');
  await linkWith(module, { x: 'export default 42' });
  await module.evaluate();
  assert.strictEqual(module.namespace.default, 42);
});

test('ML03 ML09', 'what the linker returns is linked by it too; the referrer is the one that asks', async () => {
  const calls = [];
  const modules = {
    b: new SourceTextModule('import "c"', { identifier: 'b' }),
    c: new SourceTextModule('export default 1', { identifier: 'c' }),
  };
  const a = new SourceTextModule('import "b"', { identifier: 'a' });
  await a.link((specifier, referrer) => {
    calls.push(`${referrer.identifier} asks for ${specifier}`);
    return modules[specifier];
  });
  assert.deepStrictEqual(calls, ['a asks for b', 'b asks for c']);
  for (const module of [a, modules.b, modules.c]) assert.strictEqual(module.status, 'linked');
});

test('ML06 ML10 ML13', 'the linker may answer later; link() is resolved when all answers are there', async () => {
  const order = [];
  const module = new SourceTextModule('import a from "a"; import b from "b"; export default a + b');
  const linked = module.link((specifier) => new Promise((resolve) => setTimeout(() => {
    order.push(specifier);
    resolve(new SourceTextModule(`export default "${specifier}"`));
  }, specifier === 'a' ? 20 : 1))).then(() => order.push('linked'));
  assert.strictEqual(module.status, 'linking');
  await linked;
  assert.deepStrictEqual(order, ['b', 'a', 'linked']);
  await module.evaluate();
  assert.strictEqual(module.namespace.default, 'ab');
});

test('ML06', 'a thenable will do as well as a Promise', async () => {
  const module = new SourceTextModule('import x from "x"; export default x');
  const answer = new SourceTextModule('export default 42');
  await module.link(() => ({ then: (resolve) => resolve(answer) }));
  await module.evaluate();
  assert.strictEqual(module.namespace.default, 42);
});

test('ML07', 'a module of another context is refused', async () => {
  const want = { code: 'ERR_VM_MODULE_DIFFERENT_CONTEXT', name: 'Error' };
  const module = new SourceTextModule('import "x"', { context: vm.createContext() });
  await rejects(module.link(() => new SourceTextModule('')), want);
  const second = new SourceTextModule('import "x"');
  await rejects(second.link(() => new SourceTextModule('', { context: vm.createContext() })), want);
});

test('ML08', 'an errored module is refused, with its error as the cause', async () => {
  const errored = await linkWith(new SourceTextModule('throw new Error("the cause")'), {});
  await errored.evaluate().catch(() => {});
  const module = new SourceTextModule('import "x"');
  const error = await rejects(module.link(() => errored), { code: 'ERR_VM_MODULE_LINK_FAILURE', name: 'Error' });
  assert.strictEqual(error.cause, errored.error);
});

test('ML11', 'what is no module is refused', async () => {
  for (const answer of [undefined, null, {}, 5, 'x', Promise.resolve(null), Object.create(vm.Module.prototype)]) {
    const module = new SourceTextModule('import "x"');
    await rejects(module.link(() => answer), { code: 'ERR_VM_MODULE_NOT_MODULE', name: 'Error' });
  }
});

test('ML11 D06', 'what the linker throws rejects link(), and the module is errored', async () => {
  const reason = new TypeError('mine');
  for (const linker of [() => { throw reason; }, () => Promise.reject(reason), async () => { throw reason; }]) {
    const module = new SourceTextModule('import "x"');
    assert.strictEqual(await rejects(module.link(linker), { message: 'mine' }), reason);
    assert.notStrictEqual(module.status, 'linked');
  }
});

test('D06 OLD06', 'a module whose linker failed is errored', { ours: 'it stays linking in Node' }, async () => {
  for (const linker of [() => { throw new Error('mine'); }, () => null]) {
    const module = new SourceTextModule('import "x"');
    await module.link(linker).catch(() => {});
    assert.strictEqual(module.status, 'errored');
  }
});

test('D07', 'the error of a module whose link failed is the link\'s', { ours: 'Node has none there' }, async () => {
  const reason = new TypeError('mine');
  const module = new SourceTextModule('import "x"');
  await module.link(() => { throw reason; }).catch(() => {});
  assert.strictEqual(module.error, reason);
  const second = new SourceTextModule('import "x"');
  await second.link(() => null).catch(() => {});
  assert.strictEqual(second.error.code, 'ERR_VM_MODULE_NOT_MODULE');
});

test('ML12', 'a module without dependencies is linked without a call of the linker', async () => {
  const module = new SourceTextModule('export default 1');
  await module.link(noLinker);
  assert.strictEqual(module.status, 'linked');
});

test('ML14', 'each request is asked for once; instantiation asks nobody', async () => {
  const calls = [];
  const module = new SourceTextModule('import { x } from "x"; import { x as y } from "x"; export * from "x"; export default x + y');
  await module.link((specifier) => {
    calls.push(specifier);
    return new SourceTextModule('export const x = 21');
  });
  assert.deepStrictEqual(calls, ['x']);
  await module.evaluate();
  assert.strictEqual(module.namespace.default, 42);
  assert.strictEqual(module.namespace.x, 21);
  assert.deepStrictEqual(calls, ['x']);
});

test('ML15', 'a missing or ambiguous export is a SyntaxError', async () => {
  const missing = new SourceTextModule('import { nothing } from "x"');
  await rejects(linkWith(missing, { x: 'export const something = 1' }), { name: 'SyntaxError', message: /'?nothing'?/ });
  const ambiguous = new SourceTextModule('import { same } from "both"');
  const table = { both: 'export * from "a"; export * from "b"', a: 'export const same = 1', b: 'export const same = 2' };
  await rejects(linkWith(ambiguous, table), { name: 'SyntaxError' });
});

// Node 18 to 26 differ in what the failed root's status is; ours is the row's.
test('D06 OLD08', 'after a missing export the module is unlinked', async () => {
  const module = new SourceTextModule('import { nothing } from "x"');
  await linkWith(module, { x: 'export const something = 1' }).catch(() => {});
  assert.strictEqual(module.status, 'unlinked');
});

test('ML15', 'cycles are linked, and evaluated in order', async () => {
  const module = new SourceTextModule('import { b } from "b"; export const a = "a"; export { b }; export const late = () => b()');
  const b = new SourceTextModule('import { a } from "a"; export function b() { return a + "b" }');
  await module.link((specifier) => ({ a: module, b })[specifier]);
  await module.evaluate();
  assert.strictEqual(module.namespace.late(), 'ab');
  assert.strictEqual(b.status, 'evaluated');
  const own = new SourceTextModule('import * as me from "me"; export const x = 1; export default () => me.x');
  await own.link(() => own);
  await own.evaluate();
  assert.strictEqual(own.namespace.default(), 1);
});

test('ML16', 'a linker that is no function is refused', async () => {
  for (const bad of not('function')) await rejects(async () => new SourceTextModule('').link(bad), { code: 'ERR_INVALID_ARG_TYPE', name: 'TypeError' });
});

test('ML09 P29', 'a module that many share is linked and evaluated once, however late its answer', async () => {
  globalThis.p29 = 0;
  let asked = 0;
  const shared = new SourceTextModule('p29 += 1; export default p29');
  const table = {};
  const source = (i) => `import shared from "shared"; import "n${i + 1}"; export default shared`;
  const module = new SourceTextModule(source(0));
  await module.link(async (specifier) => {
    asked++;
    await tick();
    if (specifier === 'shared') return shared;
    const i = Number(specifier.slice(1));
    return table[i] || (table[i] = new SourceTextModule(i < 20 ? source(i) : 'import "shared"; export default 0'));
  });
  await module.evaluate();
  assert.strictEqual(globalThis.p29, 1);
  assert.strictEqual(module.namespace.default, 1);
  assert.strictEqual(asked, 2 * 20 + 1);
});

test('ML06', 'a synthetic module may answer', async () => {
  const synthetic = new SyntheticModule(['default'], function () { this.setExport('default', 42); });
  const module = await evaluated('import x from "x"; export default x', {}, { x: synthetic });
  assert.strictEqual(module.namespace.default, 42);
  assert.strictEqual(synthetic.status, 'evaluated');
});

test('G08', 'methods of modules want a module as this', () => {
  for (const name of ['evaluate', 'link']) {
    const { value } = Object.getOwnPropertyDescriptor(vm.Module.prototype, name);
    let problem;
    try {
      const given = value.call({}, () => {});
      if (given && given.then) return rejects(given, {});
    } catch (error) {
      problem = error;
    }
    assert.ok(problem instanceof Error);
  }
  throws(() => Object.getOwnPropertyDescriptor(vm.Module.prototype, 'status').get.call({}), {});
});
