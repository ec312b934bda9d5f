// SPDX-License-Identifier: MIT
//
// session_module_rows.js: node:vm's promises about modules, over HTTP.
'use strict';

const assert = require('assert');
const { spawnSync } = require('child_process');
const fs = require('fs');
const path = require('path');
const { UNDEFINED, WITH } = require('./session_support.js');

const STATUS = { code: 'ERR_VM_MODULE_STATUS' };

// Makes modules of one context, by their names, and links each request to the module of that name. Answers ids.
async function graph(k, context, sources) {
  const ids = {};
  for (const [identifier, source] of Object.entries(sources)) ids[identifier] = await k.module({ context: context.id, identifier, source });
  for (const identifier of Object.keys(sources)) {
    const { moduleRequests } = await k.get(ids[identifier]);
    if (moduleRequests.length === 0) continue; // is linked with the first that reaches it
    await k.link(ids[identifier], Object.fromEntries(moduleRequests.map(({ specifier }) => [specifier, ids[specifier]])));
  }
  return ids;
}

async function linked(k, context, source, more = {}) {
  const id = await k.module({ context: context.id, source, ...more });
  await k.link(id);
  return id;
}

module.exports = ({ test }) => {
  test('MO03 MO04 MO17 MO18 MO20 MO22 ME01 OLD01 OLD08 OLD11', 'created, linked, evaluated', async (k) => {
    const context = await k.context();
    const id = await k.module({ context: context.id, source: 'export const answer = 42; 17' });
    assert.strictEqual((await k.get(id)).status, 'unlinked');
    assert.strictEqual((await k.link(id)).status, 'linked');
    assert.strictEqual((await k.get(id)).status, 'linked');
    const evaluated = await k.evaluate(id);
    assert.strictEqual(evaluated.status, 'evaluated');
    assert.deepStrictEqual(evaluated.result, UNDEFINED);
    assert.deepStrictEqual(await k.namespace(id), { answer: 42 });
  });
  test('MO02 ST05 CX02', 'a module is its context\'s', async (k) => {
    const a = await k.context({ globals: { who: 'a' } });
    const b = await a.beside({ globals: { who: 'b' } });
    for (const context of [a, b]) {
      const id = await linked(k, context, 'export default who');
      await k.evaluate(id);
      assert.deepStrictEqual(await k.namespace(id), { default: context === a ? 'a' : 'b' });
    }
    await k.fails(400, { code: 'ERR_MISSING_OPTION', message: /'context'/ }, 'POST', '/v1/modules', { source: '1' });
  });
  test('MO05 ML13 ML02 ML03', 'what is requested is asked of the client, and looked for nowhere', async (k) => {
    const context = await k.context();
    const made = await k.make('module', { context: context.id, source: 'import "/etc/passwd"; import "http://127.0.0.1/x"; import "fs";' });
    assert.deepStrictEqual(made.openRequests.map((request) => request.specifier), ['/etc/passwd', 'http://127.0.0.1/x', 'fs']);
    const again = await k.link(made.id, {});
    assert.notStrictEqual(again.status, 'linked');
    assert.strictEqual(again.openRequests.length, 3);
  });
  test('MO07 MO09 ML04 ML05 OLD15', 'requests: in order, once each, with attributes', async (k) => {
    const context = await k.context();
    const made = await k.make('module', { context: context.id, source: `import "b"; import "a"; import {} from "b"; export * from "c"; import d from "d" ${WITH} { type: "json", other: "x" };` });
    assert.deepStrictEqual(made.moduleRequests.map((request) => request.specifier), ['b', 'a', 'c', 'd']);
    assert.deepStrictEqual(made.moduleRequests[3].attributes, { type: 'json', other: 'x' });
    const target = await k.make('module', { context: context.id, exports: { default: 1 } });
    const links = [...'abc'].map((specifier) => ({ specifier, module: target.id }));
    links.push({ specifier: 'd', attributes: { type: 'json', other: 'x' }, module: target.id });
    assert.strictEqual((await k.link(made.id, links)).status, 'linked');
  });
  test('MO10 MO23 ME04 OLD12', 'a module that threw: its error, and again', async (k) => {
    const context = await k.context();
    const id = await linked(k, context, 'globalThis.n = (globalThis.n || 0) + 1; throw Object.assign(new RangeError("bad"), { code: "ERR_BAD" })', { identifier: 'thrower.mjs' });
    const wanted = { code: 'ERR_BAD', name: 'RangeError', message: 'bad', stack: /thrower\.mjs:1/ };
    await k.fails(422, wanted, 'POST', `/v1/modules/${id}/evaluate`);
    await k.fails(422, wanted, 'POST', `/v1/modules/${id}/evaluate`);
    assert.strictEqual((await k.get(id)).status, 'errored');
    const error = await k.ok('GET', `/v1/modules/${id}/error`);
    assert.deepStrictEqual([error.code, error.name, error.message], ['ERR_BAD', 'RangeError', 'bad']);
    assert.strictEqual(await context.run('n'), 1);
  });
  test('MO11', 'error in any other status', async (k) => {
    const context = await k.context();
    const id = await k.module({ context: context.id, source: '1' });
    const refused = () => k.fails(422, { ...STATUS, message: /must be errored/ }, 'GET', `/v1/modules/${id}/error`);
    await refused();
    await k.link(id);
    await refused();
    await k.evaluate(id);
    await refused();
  });
  test('MO12', 'throw undefined is an error, too', async (k) => {
    const context = await k.context();
    const id = await linked(k, context, 'throw undefined');
    assert.strictEqual((await k.ask('POST', `/v1/modules/${id}/evaluate`)).status, 422);
    assert.strictEqual((await k.get(id)).status, 'errored');
    assert.ok('error' in await k.get(id));
    assert.strictEqual((await k.ask('GET', `/v1/modules/${id}/error`)).status, 200);
  });
  test('MO14 ST02 SY04 OLD02', 'identifiers', async (k) => {
    const context = await k.context();
    const ids = [];
    for (const body of [{ source: '1' }, { source: '1', identifier: 'mine.mjs' }, { exports: { a: 1 } }, { exports: {}, identifier: 'syn' }, { source: '1' }])
      ids.push((await k.make('module', { context: context.id, ...body })).identifier);
    assert.deepStrictEqual(ids, ['vm:module(0)', 'mine.mjs', 'vm:module(1)', 'syn', 'vm:module(2)']);
    assert.strictEqual((await k.make('module', { context: (await context.beside()).id, source: '1' })).identifier, 'vm:module(0)');
  });
  test('MO15 OLD14', 'a namespace only after linking', async (k) => {
    const context = await k.context();
    const id = await k.module({ context: context.id, source: 'export default 1' });
    await k.fails(422, { ...STATUS, message: /must not be unlinked or linking/ }, 'GET', `/v1/modules/${id}/namespace`);
  });
  test('MO16', 'a namespace: sorted, and what is not initialised says so', async (k) => {
    const context = await k.context();
    const id = await linked(k, context, 'export let z = 1; export const a = 2; export default 3;');
    const uninitialized = { type: 'uninitialized' };
    assert.deepStrictEqual(await k.namespace(id), { a: uninitialized, default: uninitialized, z: uninitialized });
    await k.evaluate(id);
    assert.deepStrictEqual(Object.keys(await k.namespace(id)), ['a', 'default', 'z']);
  });
  test('MO19 ML06 ML10 EX27 OLD18', 'linking step by step', async (k) => {
    const context = await k.context();
    const top = await k.module({ context: context.id, source: 'import { a } from "a"; import { b } from "b"; export default a + b;' });
    const a = await linked(k, context, 'export const a = 40');
    const b = await linked(k, context, 'export const b = 2');
    const half = await k.link(top, { a });
    assert.deepStrictEqual(half.openRequests.map((request) => request.specifier), ['b']);
    assert.strictEqual(half.status, 'linking');
    await k.fails(422, STATUS, 'POST', `/v1/modules/${top}/evaluate`);
    assert.strictEqual((await k.link(top, { b })).status, 'linked');
    await k.evaluate(top);
    assert.deepStrictEqual(await k.namespace(top), { default: 42 });
  });
  test('ME02', 'not before link', async (k) => {
    const context = await k.context();
    const id = await k.module({ context: context.id, source: '1' });
    await k.fails(422, { ...STATUS, message: /must be one of linked, evaluated, or errored/ }, 'POST', `/v1/modules/${id}/evaluate`);
  });
  test('ME03', 'again after success: nothing', async (k) => {
    const context = await k.context();
    const id = await linked(k, context, 'globalThis.n = (globalThis.n || 0) + 1');
    for (let i = 0; i < 3; i++) await k.evaluate(id, { timeout: 1000, breakOnSigint: false });
    assert.strictEqual(await context.run('n'), 1);
  });
  test('ME06 OLD13', 'a timeout', async (k) => {
    const context = await k.context();
    const id = await linked(k, context, 'for (;;);');
    await k.fails(422, { code: 'ERR_SCRIPT_EXECUTION_TIMEOUT' }, 'POST', `/v1/modules/${id}/evaluate`, { timeout: 100 });
    assert.strictEqual((await k.get(id)).status, 'errored');
    assert.strictEqual(await context.run('1 + 1'), 2);
  });
  test('ME05 MO21', 'evaluating: a top-level await that does not settle', async (k) => {
    const context = await k.context();
    const id = await linked(k, context, 'await new Promise((resolve) => { globalThis.go = resolve }); export const done = true;');
    const pending = await k.ask('POST', `/v1/modules/${id}/evaluate`, { timeout: 300 });
    assert.strictEqual(pending.status, 422);
    assert.strictEqual(pending.json.error.code, 'ERR_UNSETTLED_TOP_LEVEL_AWAIT');
    assert.ok(['evaluating', 'evaluated'].includes((await k.get(id)).status));
    assert.strictEqual(await context.run('typeof go'), 'function');
  });
  test('ME08 ML15', 'dependencies first, once, in post-order; cycles', async (k) => {
    const context = await k.context();
    const log = (name) => `(globalThis.log = globalThis.log || []).push("${name}");`;
    const ids = await graph(k, context, {
      top: `import "left"; import "right"; ${log('top')}`,
      left: `import "shared"; ${log('left')}`,
      right: `import "shared"; import "top"; ${log('right')}`,
      shared: log('shared'),
    });
    await k.evaluate(ids.top);
    assert.deepStrictEqual(await context.run('log'), ['shared', 'left', 'right', 'top']);
    for (const id of Object.values(ids)) assert.strictEqual((await k.get(id)).status, 'evaluated');
  });
  test('ME09', 'evaluate: wrong types', async (k) => {
    const context = await k.context();
    const id = await linked(k, context, '1');
    const url = `/v1/modules/${id}/evaluate`;
    await k.fails(400, { code: 'ERR_INVALID_ARG_TYPE', message: /'options'/ }, 'POST', url, Buffer.from('"x"'));
    await k.fails(400, { code: 'ERR_INVALID_ARG_TYPE', message: /'breakOnSigint'/ }, 'POST', url, { breakOnSigint: 'yes' });
  });
  test('ML01 OLD16', 'link once', async (k) => {
    const context = await k.context();
    const id = await linked(k, context, '1');
    await k.fails(422, { code: 'ERR_VM_MODULE_ALREADY_LINKED' }, 'POST', `/v1/modules/${id}/link`, { links: {} });
  });
  test('ML07', 'modules of another context are refused', async (k) => {
    const a = await k.context();
    const b = await a.beside();
    const other = await k.module({ context: b.id, source: '1' });
    const elsewhere = await k.module({ context: (await k.context()).id, source: '1' });
    const id = await k.module({ context: a.id, source: 'import "x"' });
    await k.fails(422, { code: 'ERR_VM_MODULE_DIFFERENT_CONTEXT' }, 'POST', `/v1/modules/${id}/link`, { links: { x: other } });
    const id2 = await k.module({ context: a.id, source: 'import "x"' });
    const answer = await k.ask('POST', `/v1/modules/${id2}/link`, { links: { x: elsewhere } });
    assert.ok(answer.status === 404 || answer.status === 422, `${answer.status}`);
  });
  test('ML08', 'an errored module is refused', async (k) => {
    const context = await k.context();
    const bad = await linked(k, context, 'throw 1');
    await k.ask('POST', `/v1/modules/${bad}/evaluate`);
    const id = await k.module({ context: context.id, source: 'import "bad"' });
    await k.fails(422, { code: 'ERR_VM_MODULE_LINK_FAILURE' }, 'POST', `/v1/modules/${id}/link`, { links: { bad } });
  });
  test('ML09 OLD10 EX08 EX09', 'the example of the documents: a graph, linked module by module, evaluated once', async (k) => {
    const context = await k.context({ globals: { secret: 42 }, contextified: true });
    const bar = await k.module({ context: context.id, source: 'import s from "foo"; export default s;' });
    const foo = await k.module({ context: context.id, source: 'export default secret;' });
    await k.link(bar, { foo });
    await k.evaluate(bar);
    assert.deepStrictEqual(await k.namespace(bar), { default: 42 });
  });
  test('ML11 ML16', 'what is no module', async (k) => {
    const context = await k.context();
    const id = await k.module({ context: context.id, source: 'import "x"' });
    const url = `/v1/modules/${id}/link`;
    for (const links of [1, null, 'x', true]) await k.fails(400, { code: 'ERR_INVALID_ARG_TYPE', message: /'links'/ }, 'POST', url, { links });
    for (const module of [null, 1, {}])
      await k.fails(400, { code: 'ERR_INVALID_ARG_TYPE', message: /'links\['x'\]'/ }, 'POST', url, { links: { x: module } });
    const script = await k.script({ source: '1', session: context.session });
    for (const module of ['', 'x', context.id, script, `${context.session}-999`]) {
      const { status } = await k.ask('POST', url, { links: { x: module } });
      assert.ok([400, 404, 422].includes(status), `${module}: ${status}`);
    }
    assert.deepStrictEqual((await k.get(id)).openRequests.map((request) => request.specifier), ['x']);
  });
  test('ML12', 'modules without dependencies must be linked, too', async (k) => {
    const context = await k.context();
    const id = await k.module({ context: context.id, source: '1' });
    const { status, openRequests } = await k.ok('POST', `/v1/modules/${id}/link`);
    assert.deepStrictEqual([status, openRequests], ['linked', []]);
  });
  test('ML15', 'missing and ambiguous exports', async (k) => {
    const context = await k.context();
    const dep = await linked(k, context, 'export const a = 1');
    const id = await k.module({ context: context.id, source: 'import { nonexistent } from "dep"' });
    await k.fails(422, { name: 'SyntaxError', message: /nonexistent/ }, 'POST', `/v1/modules/${id}/link`, { links: { dep } });
    const other = await linked(k, context, 'export const a = 2');
    const both = await linked(k, context, 'export const b = 1');
    const star = await k.module({ context: context.id, source: 'export * from "x"; export * from "y"' });
    await k.link(star, { x: dep, y: other });
    const user = await k.module({ context: context.id, source: 'import { a } from "star"; import "both"' });
    await k.fails(422, { name: 'SyntaxError' }, 'POST', `/v1/modules/${user}/link`, { links: { star, both } });
  });
  test('ST01 ST15 OLD03 ST06', 'source text is parsed at once', async (k) => {
    const context = await k.context();
    for (const source of ['export', 'import { a b } from "x"', 'export { nothing }'])
      await k.fails(422, { name: 'SyntaxError' }, 'POST', '/v1/modules', { context: context.id, source });
    await k.fails(422, { name: 'SyntaxError', line: 8 }, 'POST', '/v1/modules', { context: context.id, source: '\nvar 5;', lineOffset: 6, identifier: 'off.mjs' });
    const made = await k.make('module', 'export default import.meta', `?context=${context.id}&identifier=q.mjs`);
    assert.deepStrictEqual([made.identifier, made.synthetic], ['q.mjs', false]);
  });
  test('ST03', 'cached data of the store, by key', async (k) => {
    const source = `export const big = ${JSON.stringify('z'.repeat(9000))}; export default big.length`;
    const baked = await k.ask('POST', '/v1/createCachedData?kind=module&filename=m.mjs', source);
    const context = await k.context();
    const made = await k.make('module', { context: context.id, key: baked.headers['kiln-key'] });
    assert.strictEqual(made.cachedDataRejected, false);
    await k.link(made.id);
    await k.evaluate(made.id);
    assert.strictEqual((await k.namespace(made.id)).default, 9000);
  });
  test('ST07 ST08 ST09 EX10 EX11', 'import.meta gets objects of the module\'s own context', async (k) => {
    const context = await k.context();
    const id = await linked(k, context, 'Object.getPrototypeOf(import.meta.prop).secret = secret; export const { prop, url } = import.meta; export const bare = Object.getPrototypeOf(import.meta) === null;',
      { initializeImportMeta: { prop: {}, url: 'file:///m' } });
    await context.run('var secret = 42;');
    await k.evaluate(id);
    assert.deepStrictEqual(await k.namespace(id), { bare: true, prop: {}, url: 'file:///m' });
    assert.strictEqual(await context.run('({}).secret'), 42);
    assert.strictEqual(await (await context.beside()).run('typeof ({}).secret'), 'undefined');
  });
  test('ST12 EX12 ST14', 'createCachedData before evaluation, which official Node takes', async (k) => {
    const context = await k.context();
    const source = 'export default (function () { return 42 })()';
    const id = await k.module({ context: context.id, source, identifier: 'cd.mjs' });
    for (let i = 0; i < 3; i++) {
      fs.writeFileSync(path.join(k.dir, 'module'), await k.cachedData('module', id));
      const code = 'const vm = require("vm"); new vm.SourceTextModule(process.argv[2], { identifier: "cd.mjs", cachedData: require("fs").readFileSync(process.argv[1]) }); console.log("taken")';
      const node = spawnSync(process.execPath, ['--experimental-vm-modules', '--no-warnings', '-e', code, path.join(k.dir, 'module'), source], { encoding: 'utf8' });
      assert.strictEqual(node.stdout, 'taken\n', node.stderr);
    }
  });
  test('ST13', 'not after evaluation', async (k) => {
    const context = await k.context();
    const id = await linked(k, context, '1');
    await k.evaluate(id);
    await k.fails(422, { code: 'ERR_VM_MODULE_CANNOT_CREATE_CACHED_DATA' }, 'GET', `/v1/modules/${id}/createCachedData`);
  });
  test('ST16', 'options of the wrong type', async (k) => {
    const { id } = await k.context();
    for (const [field, value] of [['identifier', 1], ['context', null], ['source', 1], ['lineOffset', 'x'], ['initializeImportMeta', 1], ['initializeImportMeta', []], ['exports', 'a'], ['key', {}]])
      await k.fails(400, { code: 'ERR_INVALID_ARG_TYPE', message: new RegExp(`^'${field}'`) }, 'POST', '/v1/modules', { context: id, source: '1', [field]: value });
    for (const field of ['cachedData', 'filename', 'params'])
      await k.fails(400, { code: 'ERR_UNKNOWN_OPTION', message: new RegExp(`'${field}'`) }, 'POST', '/v1/modules', { context: id, source: '1', [field]: 1 });
    await k.fails(404, {}, 'POST', '/v1/modules', { context: `${id}9`, source: '1' });
  });
  test('SY01 SY03 SY05 EX13', 'a synthetic module: exports are set at evaluation, in its context', async (k) => {
    const context = await k.context();
    const made = await k.make('module', { context: context.id, exports: { default: { a: [1, null] }, name: 'x' } });
    assert.strictEqual(made.synthetic, true);
    await k.link(made.id);
    await k.evaluate(made.id);
    assert.deepStrictEqual(await k.namespace(made.id), { default: { a: [1, null] }, name: 'x' });
    const user = await k.module({ context: context.id, source: 'import data from "json"; export default data.a instanceof Array' });
    await k.link(user, { json: made.id });
    await k.evaluate(user);
    assert.deepStrictEqual(await k.namespace(user), { default: true });
  });
  test('SY02', 'export names', async (k) => {
    const { id } = await k.context();
    await k.fails(400, { code: 'ERR_INVALID_JSON' }, 'POST', '/v1/modules', Buffer.from(`{"context":"${id}","exports":{"a":1,"a":2}}`));
    await k.fails(400, { code: 'ERR_INVALID_ARG_VALUE', message: /'exports'/ }, 'POST', '/v1/modules', { context: id, exports: {}, source: '1' });
    await k.fails(400, { code: 'ERR_INVALID_ARG_TYPE', message: /^'exports\[1\]'/ }, 'POST', '/v1/modules', { context: id, exports: ['a', 1] });
    await k.fails(422, { code: 'ERR_INVALID_ARG_VALUE', message: /exportNames.a/ }, 'POST', '/v1/modules', { context: id, exports: ['a', 'b', 'a'] });
  });
  test('SY10', 'exports that were not set are undefined', async (k) => {
    const context = await k.context();
    const id = await k.module({ context: context.id, exports: ['late', 'never', 'early'] });
    const set = (name, value) => k.ok('POST', `/v1/modules/${id}/setExport`, { name, value });
    await set('early', 1);
    await k.link(id);
    await k.evaluate(id);
    await set('late', 2);
    assert.deepStrictEqual(await k.namespace(id), { early: 1, late: 2, never: UNDEFINED });
  });
  test('SY06 SY07 SY09 EX14 MO01', 'setExport before and after evaluation: live bindings', async (k) => {
    const context = await k.context();
    const id = await k.module({ context: context.id, exports: { x: 0 } });
    const set = (name, value) => k.ok('POST', `/v1/modules/${id}/setExport`, { name, value });
    const user = await k.module({ context: context.id, source: 'import { x } from "syn"; globalThis.read = () => x;' });
    await k.link(id);
    await k.link(user, { syn: id });
    await k.evaluate(user);
    await set('x', 1);
    assert.deepStrictEqual(await k.namespace(id), { x: 1 });
    for (const value of ['two', null, [3], { deep: true }, false]) {
      await set('x', value);
      assert.deepStrictEqual(await context.run('read()'), value);
    }
  });
  test('SY08', 'setExport of an unknown name', async (k) => {
    const context = await k.context();
    const id = await k.module({ context: context.id, exports: { x: 0 } });
    const url = `/v1/modules/${id}/setExport`;
    await k.fails(422, { name: 'ReferenceError' }, 'POST', url, { name: 'nope', value: 1 });
    await k.fails(400, { code: 'ERR_INVALID_ARG_TYPE', message: /'name'/ }, 'POST', url, { name: 1, value: 1 });
    await k.fails(400, { code: 'ERR_MISSING_OPTION', message: /'name'/ }, 'POST', url, { value: 1 });
    await k.fails(400, { code: 'ERR_MISSING_OPTION', message: /'value'/ }, 'POST', url, { name: 'x' });
    const source = await k.module({ context: context.id, source: 'export let x' });
    assert.strictEqual((await k.ask('POST', `/v1/modules/${source}/setExport`, { name: 'x', value: 1 })).status, 422);
  });
};
