// SPDX-License-Identifier: MIT
//
// session_script_rows.js: node:vm's promises about scripts, their cached data and functions, over HTTP.
'use strict';

const assert = require('assert');
const { spawnSync } = require('child_process');
const fs = require('fs');
const path = require('path');
const { UNDEFINED, WITH } = require('./session_support.js');

// What official Node makes of a blob: { rejected, result, leaked }
function consume(k, source, blob, filename = 'evalmachine.<anonymous>') {
  const file = path.join(k.dir, 'blob');
  fs.writeFileSync(file, blob);
  const code = 'const vm = require("vm"); const s = new vm.Script(process.argv[2], { filename: process.argv[3], cachedData: require("fs").readFileSync(process.argv[1]) });' +
    'const leaked = typeof globalThis.state; console.log(JSON.stringify({ rejected: s.cachedDataRejected, leaked, result: s.runInThisContext() }))';
  const node = spawnSync(process.execPath, ['-e', code, file, source, filename], { encoding: 'utf8' });
  assert.strictEqual(node.status, 0, node.stderr);
  return JSON.parse(node.stdout);
}

module.exports = ({ test }) => {
  test('SC01', 'compiles without running; syntax errors are thrown here', async (k) => {
    const { session, ...context } = await k.context();
    const made = await k.fails(422, { name: 'SyntaxError', line: 2 }, 'POST', '/v1/scripts', { source: '\nvar 5;', session });
    assert.strictEqual(made.outcome, 'exception');
    const script = await k.script({ source: 'globalThis.ran = 1', session });
    assert.deepStrictEqual(await k.ok('GET', `/v1/contexts/${context.id}/globals`), {});
    await k.value(script, context);
    assert.deepStrictEqual(await k.ok('GET', `/v1/contexts/${context.id}/globals`), { ran: 1 });
  });
  test('SC01', 'a script without a session makes one; source text with a query', async (k) => {
    const made = await k.make('script', '1 + 1', '?filename=q.js&lineOffset=1');
    const context = await k.context({ session: made.session });
    assert.strictEqual(await k.value(made.id, context), 2);
  });
  test('SC02 EX05 RC12', 'runs many times', async (k) => {
    const context = await k.context({ globals: { animal: 'cat', count: 2 }, contextified: true });
    const script = await k.script({ source: 'count += 1; name = "kitty";', session: context.session });
    for (let i = 0; i < 10; i++) assert.strictEqual(await k.value(script, context), 'kitty');
    assert.deepStrictEqual(await context.globals(), { animal: 'cat', count: 12, name: 'kitty' });
  });
  test('SC03', 'bound to no global', async (k) => {
    const a = await k.context({ globals: { who: 'a' } });
    const contexts = [a, await a.beside({ globals: { who: 'b' }, contextified: true }), await a.beside()];
    const script = await k.script({ source: 'typeof who === "undefined" ? "nobody" : who', session: a.session });
    assert.deepStrictEqual(await Promise.all(contexts.map((context) => k.value(script, context))), ['a', 'b', 'nobody']);
  });
  test('SC06 SC07', 'lineOffset and columnOffset', async (k) => {
    const context = await k.context();
    const options = { lineOffset: 32, columnOffset: 123, filename: 'o.js' };
    const first = await context.refuses({ stack: /o\.js:33:131/ }, ' throw new Error("x")', options);
    assert.deepStrictEqual([first.error.line, first.error.column], [33, 125]);
    await context.refuses({ stack: /o\.js:34:8/ }, '\n throw new Error("x")', options);
    const script = await k.script({ source: 'throw new Error("x")', session: context.session, ...options });
    await k.fails(422, { stack: /o\.js:33:130/ }, 'POST', `/v1/scripts/${script}/run`, { context: context.id });
  });
  test('SC08', 'offsets are int32', async (k) => {
    const context = await k.context();
    for (const noun of ['lineOffset', 'columnOffset']) {
      for (const value of [-(2 ** 31), 2 ** 31 - 1, 0]) await k.script({ source: '1', session: context.session, [noun]: value });
      for (const value of [2 ** 31, -(2 ** 31) - 1, 0.1])
        await k.fails(400, { code: 'ERR_OUT_OF_RANGE', message: new RegExp(`'${noun}'`) }, 'POST', '/v1/scripts', { source: '1', [noun]: value });
      for (const value of ['bad', null, true, {}])
        await k.fails(400, { code: 'ERR_INVALID_ARG_TYPE', message: new RegExp(`'${noun}'`) }, 'POST', '/v1/scripts', { source: '1', [noun]: value });
    }
  });
  test('SC09 SC10 CF05 CF06', 'cached data comes from the store, by key', async (k) => {
    const source = `var big = ${JSON.stringify('y'.repeat(9000))}; function f() { return big.length } f()`;
    const baked = await k.ask('POST', '/v1/createCachedData?filename=k.js&mode=warm', source);
    const made = await k.make('script', { key: baked.headers['kiln-key'] });
    assert.strictEqual(made.cachedDataRejected, false);
    assert.strictEqual(await k.value(made.id, await k.context({ session: made.session })), 9000);
    await k.fails(400, { code: 'ERR_INVALID_ARG_VALUE', message: /'key'/ }, 'POST', '/v1/scripts', { source, key: baked.headers['kiln-key'] });
    await k.fails(404, {}, 'POST', '/v1/scripts', { key: '0'.repeat(64) });
    await k.fails(400, { code: 'ERR_INVALID_ARG_VALUE', message: /'key'/ }, 'POST', '/v1/scripts', { key: '0' });
  });
  test('SC11', 'without cached data cachedDataRejected is not there', async (k) => {
    assert.ok(!('cachedDataRejected' in await k.make('script', { source: '1' })));
  });
  test('SC15 SC17 SC18 CF09 ST10', 'import(): importModuleDynamically is a map to modules', async (k) => {
    const context = await k.context();
    const one = await k.module({ context: context.id, source: 'export const v = 1; export default import.meta === undefined' });
    const data = await k.module({ context: context.id, exports: { default: { a: 1 } } });
    const thenable = await k.module({ context: context.id, source: 'export function then(resolve) { resolve("thenable!") }' });
    for (const id of [one, data, thenable]) await k.ok('POST', `/v1/modules/${id}/link`);
    const importModuleDynamically = [{ specifier: 'one', module: one }, { specifier: 'then', module: thenable },
      { specifier: 'data', attributes: { type: 'json' }, module: data }];
    const body = `for (const p of [import("one"), import("data", { ${WITH}: { type: "json" } }), import("then"), import("data"), import("none")]) p.then((m) => log.push(m.v || m.default || m), (e) => log.push(e.code))`;
    const wanted = ['ERR_VM_MODULE_LINK_FAILURE', 'ERR_VM_MODULE_LINK_FAILURE', 'thenable!', 1, { a: 1 }];
    const check = async () => {
      const log = await context.run('var seen = log; log = []; seen');
      assert.deepStrictEqual(log.map((one) => JSON.stringify(one)).sort(), wanted.map((one) => JSON.stringify(one)).sort());
    };
    await context.run('var log = [];');
    await context.run(body, { importModuleDynamically });
    await check();
    const script = await k.script({ session: context.session, source: body, importModuleDynamically });
    await k.value(script, context);
    await check();
    const func = await k.func({ context: context.id, source: body, importModuleDynamically });
    await k.call(func);
    await check();
    const module = await k.module({ context: context.id, source: body, importModuleDynamically });
    await k.link(module);
    await k.evaluate(module);
    await check();
    const map = await k.script({ session: context.session, source: 'import("one").then((m) => { log = m.v })', importModuleDynamically: { one } });
    await k.value(map, context);
    assert.strictEqual(await context.run('log'), 1);
  });
  test('SC16 ST11', 'import() rejects', async (k) => {
    const context = await k.context();
    await context.run('var code; import("x").catch((e) => { code = e.code; });');
    assert.strictEqual(await context.run('code'), 'ERR_VM_DYNAMIC_IMPORT_CALLBACK_MISSING');
  });
  test('SC19 SC20', 'options of the wrong type', async (k) => {
    for (const [field, value] of [['source', 1], ['source', null], ['source', {}], ['filename', 1], ['filename', null], ['session', []], ['key', 1], ['engine', 1]])
      await k.fails(400, { code: 'ERR_INVALID_ARG_TYPE', message: new RegExp(`^'${field}'`) }, 'POST', '/v1/scripts', { source: '1', [field]: value });
    await k.fails(400, { code: 'ERR_INVALID_ARG_TYPE', message: /'importModuleDynamically'/ }, 'POST', '/v1/scripts', { source: '1', importModuleDynamically: true });
    for (const field of ['cachedData', 'produceCachedData', 'params', 'context', 'nonsense'])
      await k.fails(400, { code: 'ERR_UNKNOWN_OPTION', message: new RegExp(`'${field}'`) }, 'POST', '/v1/scripts', { source: '1', [field]: true });
    await k.fails(400, { code: 'ERR_MISSING_OPTION', message: /'source'/ }, 'POST', '/v1/scripts', {});
  });
  test('CD01 CD03 CD04 EX04', 'createCachedData: official Node takes it, again and again, and it holds no state', async (k) => {
    const source = 'globalThis.state = 7; (function () { return 40 + 2 })()';
    const made = await k.make('script', { source, filename: 'c.js' });
    const context = await k.context({ session: made.session });
    await k.value(made.id, context);
    const blob = await k.cachedData('script', made.id);
    for (let i = 0; i < 3; i++) assert.deepStrictEqual(consume(k, source, blob, 'c.js'), { rejected: false, leaked: 'undefined', result: 42 });
    const posted = await k.ask('POST', `/v1/scripts/${made.id}/createCachedData`);
    assert.strictEqual(posted.headers['content-type'], 'application/octet-stream');
    assert.strictEqual(posted.bytes.length, blob.length);
  });
  test('CD02', 'at any time, any number of times', async (k) => {
    const made = await k.make('script', { source: '(function () { return 1 })()' });
    for (let i = 0; i < 10; i++) assert.strictEqual(consume(k, '(function () { return 1 })()', await k.cachedData('script', made.id)).rejected, false);
  });
  test('CD05 CD06 EX02', 'functions are in it once they have run', async (k) => {
    const made = await k.make('script', { source: 'function add(a, b) { return a + b; }\nconst x = add(1, 2);' });
    const before = await k.cachedData('script', made.id);
    const context = await k.context({ session: made.session });
    await k.value(made.id, context);
    const after = await k.cachedData('script', made.id);
    assert.ok(after.length > before.length, `${after.length} > ${before.length}`);
  });
  test('SM01 SM02 EX03', 'sourceMapURL', async (k) => {
    const withUrl = await k.make('script', { source: 'function f() {}\n//# sourceMappingURL=sourcemap.json' });
    assert.strictEqual(withUrl.sourceMapURL, 'sourcemap.json');
    for (const source of ['1', '1 // sourceMappingURL=x'])
      assert.ok(!(await k.make('script', { source })).sourceMapURL);
  });

  // ---- functions

  test('CF01 CF02', 'a function with parameters', async (k) => {
    const context = await k.context();
    const func = await k.func({ context: context.id, source: 'return [a + b, arguments.length, this === undefined || typeof this]', params: ['a', 'b'] });
    assert.deepStrictEqual((await k.call(func, { args: [40, 2] })).result.slice(0, 2), [42, 2]);
    const plain = await k.func({ context: context.id, source: 'return arguments.length' });
    assert.strictEqual((await k.call(plain)).result, 0);
    const made = await k.make('function', 'return p + q', `?context=${context.id}&params=p,q`);
    assert.strictEqual((await k.call(made.id, { args: ['x', 'y'] })).result, 'xy');
  });
  test('CF01 HS02', 'this and arguments are made in the function\'s context', async (k) => {
    const context = await k.context();
    const func = await k.func({ context: context.id, source: 'return [this.name, list instanceof Array, list.length]', params: ['list'] });
    assert.deepStrictEqual((await k.call(func, { this: { name: 'me' }, args: [[1, 2, 3]] })).result, ['me', true, 3]);
  });
  test('CF03 CF04', 'filename and offsets', async (k) => {
    const context = await k.context();
    const named = await k.func({ context: context.id, source: 'throw new Error("x")', filename: 'fn.js', lineOffset: 3, columnOffset: 10 });
    await k.fails(422, { stack: /fn\.js:4:17/ }, 'POST', `/v1/functions/${named}/call`, {});
    const unnamed = await k.func({ context: context.id, source: 'throw new Error("x")' });
    await k.fails(422, { stack: /<anonymous>:1:7/ }, 'POST', `/v1/functions/${unnamed}/call`, {});
  });
  test('CF07', 'parsingContext', async (k) => {
    const context = await k.context();
    await context.run('var varInContext = "found";');
    const func = await k.func({ context: context.id, source: 'return varInContext' });
    assert.strictEqual((await k.call(func)).result, 'found');
    await k.fails(400, { code: 'ERR_MISSING_OPTION', message: /'context'/ }, 'POST', '/v1/functions', { source: '1' });
  });
  test('CF08', 'contextExtensions, the later inside', async (k) => {
    const context = await k.context();
    const func = await k.func({ context: context.id, source: 'return [a, b]', contextExtensions: [{ a: 5, b: 1 }, { b: 2 }] });
    assert.deepStrictEqual((await k.call(func)).result, [5, 2]);
  });
  test('CF10', 'return is allowed, breaking out is not', async (k) => {
    const context = await k.context();
    for (const source of ['});(function(){', '}', 'return ) 1'])
      await k.fails(422, { name: 'SyntaxError' }, 'POST', '/v1/functions', { context: context.id, source });
  });
  test('CF11', 'wrong types', async (k) => {
    const { id } = await k.context();
    const base = { context: id, source: '1' };
    for (const [more, field] of [[{ source: 1 }, 'source'], [{ params: 'a' }, 'params'], [{ params: [1] }, 'params\\[0\\]'], [{ context: 1 }, 'context'],
      [{ contextExtensions: {} }, 'contextExtensions'], [{ contextExtensions: [{}, 1] }, 'contextExtensions\\[1\\]'], [{ filename: 1 }, 'filename']])
      await k.fails(400, { code: 'ERR_INVALID_ARG_TYPE', message: new RegExp(`^'${field}'`) }, 'POST', '/v1/functions', { ...base, ...more });
    const func = await k.func(base);
    await k.fails(400, { code: 'ERR_INVALID_ARG_TYPE', message: /^'args'/ }, 'POST', `/v1/functions/${func}/call`, { args: {} });
  });
  test('CF12', 'parameters must be identifiers', async (k) => {
    const { id } = await k.context();
    for (const param of ['x y', '', '{a}', 'a=1', '...r', 'a)', 'if'])
      await k.fails(422, { name: 'SyntaxError' }, 'POST', '/v1/functions', { context: id, source: 'return 1', params: [param] });
    assert.deepStrictEqual((await k.call(await k.func({ context: id, source: 'return ünï', params: ['ünï'] }), { args: [1] })).result, 1);
  });
  test('CF05', 'createCachedData of a function', async (k) => {
    const { id } = await k.context();
    const func = await k.func({ context: id, source: 'return function () { return 1 }' });
    assert.ok((await k.cachedData('function', func)).length > 100);
  });
  test('CF01', 'a function that returns nothing, or throws', async (k) => {
    const { id } = await k.context();
    assert.deepStrictEqual((await k.call(await k.func({ context: id, source: '' }))).result, UNDEFINED);
    const thrower = await k.func({ context: id, source: 'throw Object.assign(new TypeError("no"), { code: "ERR_MINE" })' });
    await k.fails(422, { code: 'ERR_MINE', name: 'TypeError', message: 'no' }, 'POST', `/v1/functions/${thrower}/call`);
    const looper = await k.func({ context: id, source: 'for (;;);' });
    await k.fails(422, { code: 'ERR_SCRIPT_EXECUTION_TIMEOUT' }, 'POST', `/v1/functions/${looper}/call`, { timeout: 50 });
  });
};
