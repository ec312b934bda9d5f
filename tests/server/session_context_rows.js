// SPDX-License-Identifier: MIT
//
// session_context_rows.js: node:vm's promises about contexts and running code, over HTTP. The ids are rows.json's.
'use strict';

const assert = require('assert');
const { UNDEFINED } = require('./session_support.js');
const { until } = require('../kilnd.js');

const STRINGS = ['eval("1")', 'Function("1")', 'new (Object.getPrototypeOf(function*(){}).constructor)("1")',
  'new (Object.getPrototypeOf(async function(){}).constructor)("1")', 'new (Object.getPrototypeOf(async function*(){}).constructor)("1")'];
const HEADER = 'new Uint8Array([0, 97, 115, 109, 1, 0, 0, 0])';

module.exports = ({ test }) => {
  test('G01 VR01', 'run at once, or compiled, kept and run later', async (k) => {
    const context = await k.context();
    const source = '({a: [1, "two", null], b: 6 * 7})';
    const script = await k.script({ source, session: context.session });
    assert.deepStrictEqual(await k.value(script, context), await context.run(source));
  });
  test('G02 CX03 RC03', 'contexts have globals and built-ins of their own', async (k) => {
    const a = await k.context();
    const b = await a.beside();
    await a.run('var x = 1; Array.prototype.mine = 2;');
    assert.strictEqual(await b.run('typeof x'), 'undefined');
    assert.strictEqual(await b.run('typeof [].mine'), 'undefined');
    assert.strictEqual(await a.run('[].mine'), 2);
    await b.refuses({ name: 'ReferenceError', message: /x is not defined/ }, 'x');
    assert.strictEqual(await a.run('typeof process + typeof require + typeof k'), 'undefinedundefinedundefined');
  });
  test('G03 G04 G05 CC02 CC03 EX01', 'globals go in, changes come back, others keep theirs', async (k) => {
    for (const contextified of [false, true]) {
      const context = await k.context({ globals: { x: 2 }, contextified });
      const other = await context.beside({ globals: { x: 1 }, contextified });
      assert.strictEqual(await context.run('x'), 2);
      await context.run('x += 40; var y = 17;');
      assert.deepStrictEqual(await context.globals(), { x: 42, y: 17 });
      assert.deepStrictEqual(await other.globals(), { x: 1 });
      assert.strictEqual(await other.run('typeof y + typeof Array'), 'undefinedfunction');
    }
  });
  test('EX15', 'globalVar *= 2 in one context', async (k) => {
    const outer = await k.context({ globals: { globalVar: 3 } });
    const context = await outer.beside({ globals: { globalVar: 1 }, contextified: true });
    await context.run('globalVar *= 2;');
    assert.deepStrictEqual(await context.globals(), { globalVar: 2 });
    assert.strictEqual(await outer.run('globalVar'), 3);
  });
  test('CC01 CX01 CX02', 'each createContext makes a context, which requests name by its id', async (k) => {
    const first = await k.context();
    const second = await first.beside();
    assert.strictEqual(second.session, first.session);
    assert.notStrictEqual(second.id, first.id);
    const { heap } = await first.measure({ execution: 'eager' });
    assert.strictEqual(heap.number_of_native_contexts, 2);
    assert.strictEqual((await k.ok('GET', `/v1/sessions/${first.session}`)).objects, 2);
    await k.fails(404, { code: 'ERR_NOT_FOUND' }, 'GET', `/v1/contexts/${first.session}-999/globals`);
  });
  test('IC01', 'isContext: GET answers 200 or 404', async (k) => {
    const context = await k.context();
    assert.strictEqual((await k.ask('GET', context.url)).status, 200);
    for (const id of [`${context.session}-9`, 'x']) assert.strictEqual((await k.ask('GET', `/v1/contexts/${id}`)).status, 404);
    await k.ok('DELETE', context.url, undefined, 204);
    assert.strictEqual((await k.ask('GET', context.url)).status, 404);
  });
  test('CC04', 'without globals a new empty one', async (k) => {
    for (const body of [undefined, {}, { contextified: true }]) assert.deepStrictEqual(await (await k.context(body)).globals(), {});
  });
  test('CC05 VR07 IC02', 'a contextObject of the wrong type', async (k) => {
    for (const globals of [null, 'string', 1, true, []])
      await k.fails(400, { code: 'ERR_INVALID_ARG_TYPE', message: /'globals'/ }, 'POST', '/v1/contexts', { globals });
  });
  test('CC08 RN03', 'an origin is for display and not checked', async (k) => {
    const context = await k.context({ origin: 'not a url' });
    assert.strictEqual(context.made.origin, 'not a url');
    assert.strictEqual((await k.ok('GET', context.url)).origin, 'not a url');
    assert.ok(!(await context.beside()).made.origin);
  });
  test('CC07 RN02 CC12', 'names: VM Context i, or the one given', async (k) => {
    const context = await k.context();
    await context.beside();
    assert.strictEqual(context.made.name, 'VM Context 1');
    assert.strictEqual((await k.ok('GET', (await context.beside({ name: 'mine' })).url)).name, 'mine');
    const { current, other } = await context.measure({ mode: 'detailed', execution: 'eager' });
    assert.strictEqual(current.name, 'VM Context 1');
    assert.deepStrictEqual(other.map((one) => one.name).sort(), ['VM Context 2', 'mine']);
  });
  test('CC09 RN04', 'codeGeneration.strings', async (k) => {
    const context = await k.context({ codeGeneration: { strings: false } });
    for (const source of STRINGS) await context.refuses({ name: 'EvalError' }, source);
    assert.strictEqual(await context.run('new WebAssembly.Module(' + HEADER + ') instanceof WebAssembly.Module'), true);
    const free = await context.beside();
    assert.strictEqual(await free.run('eval("40 + 2")'), 42);
  });
  test('CC09 RN05', 'codeGeneration.wasm', async (k) => {
    const context = await k.context({ codeGeneration: { wasm: false } });
    await context.refuses({ name: 'CompileError' }, `new WebAssembly.Module(${HEADER})`);
    await context.run(`var names = []; WebAssembly.compile(${HEADER}).catch((e) => names.push(e.name));`);
    assert.deepStrictEqual(await context.run('names'), ['CompileError']);
    assert.strictEqual(await context.run(`WebAssembly.validate(${HEADER})`), true);
    assert.strictEqual(await context.run('eval("1")'), 1);
  });
  test('RN08 CC13', 'options of the wrong type', async (k) => {
    const wrong = [['name', null], ['name', 1], ['origin', null], ['codeGeneration', 1], ['codeGeneration', null],
      ['codeGeneration.strings', { codeGeneration: { strings: 1 } }], ['codeGeneration.wasm', { codeGeneration: { wasm: 'no' } }],
      ['contextified', 1], ['session', 1], ['engine', {}], ['microtaskMode', 1], ['timeout', '1']];
    for (const [field, value] of wrong) {
      const body = field.includes('.') ? value : { [field]: value };
      await k.fails(400, { code: 'ERR_INVALID_ARG_TYPE', message: new RegExp(`^'${field}'`) }, 'POST', '/v1/contexts', body);
    }
    for (const body of [[], 'x', 1, null])
      await k.fails(400, { code: 'ERR_INVALID_ARG_TYPE', message: /^'options'/ }, 'POST', '/v1/contexts', Buffer.from(JSON.stringify(body)));
  });
  test('RN07', 'other microtask modes are refused', async (k) => {
    await k.fails(400, { code: 'ERR_INVALID_ARG_VALUE', message: /'microtaskMode'.*'afterEvaluate'/ }, 'POST', '/v1/contexts', { microtaskMode: 'never' });
  });
  test('CC10 RN06 PR02 TM03 EX23', 'microtaskMode afterEvaluate: within the run and its timeout', async (k) => {
    const context = await k.context({ microtaskMode: 'afterEvaluate' });
    await context.run('var log = ["sync"]; Promise.resolve().then(() => log.push("micro"));');
    assert.deepStrictEqual(await context.run('log'), ['sync', 'micro']);
    await context.refuses({ code: 'ERR_SCRIPT_EXECUTION_TIMEOUT' }, 'Promise.resolve().then(() => { for (;;); });', { timeout: 50 });
    assert.strictEqual(await context.run('log.length'), 2);
  });
  test('CC11 VR02', 'one context runs many scripts', async (k) => {
    const context = await k.context();
    await context.run('let a = 1; const b = 2;');
    assert.strictEqual(await context.run('a + b'), 3);
    await context.refuses({ name: 'SyntaxError', message: /already been declared/ }, 'let a = 3;');
    assert.strictEqual(await context.run('a'), 1);
  });
  test('RC01', 'the value of the last statement', async (k) => {
    const context = await k.context();
    for (const [source, value] of [['1; 2', 2], ['', UNDEFINED], ['{}', UNDEFINED], ['({})', {}], ['if (0) 1', UNDEFINED], ['"é\\u0000"', 'é\0'],
      ['[undefined]', [UNDEFINED]], ['null', null]]) assert.deepStrictEqual(await context.run(source), value, source);
  });
  test('RC02', 'what is no context of this session is refused', async (k) => {
    const context = await k.context();
    const elsewhere = await k.context();
    const script = await k.script({ source: '1', session: context.session });
    for (const id of ['x', elsewhere.id, `${context.session}-77`, '0'.repeat(32) + '-1', `${context.session}`, 'a'.repeat(5000)])
      await k.fails(404, {}, 'POST', `/v1/scripts/${script}/run`, { context: id });
    await k.fails(400, { code: 'ERR_INVALID_ARG_TYPE', message: /not a context/ }, 'POST', `/v1/scripts/${script}/run`, { context: script });
    await k.fails(400, { code: 'ERR_INVALID_ARG_TYPE', message: /'context'/ }, 'POST', `/v1/scripts/${script}/run`, { context: null });
    for (const body of [{}, undefined, { context: '' }])
      await k.fails(400, { message: /context'?: missing/ }, 'POST', `/v1/scripts/${script}/run`, body);
    await k.fails(400, { code: 'ERR_INVALID_ARG_TYPE', message: /not a context/ }, 'POST', `/v1/contexts/${script}/run`, 'x');
  });
  test('RC04 SC04', 'errors show where, and displayErrors leaves the line out', async (k) => {
    const context = await k.context();
    const shown = await context.refuses({ name: 'SyntaxError', resource: 'my.js' }, '\n  var 5;', { filename: 'my.js' });
    assert.strictEqual(shown.error.sourceLine, '  var 5;');
    assert.strictEqual(shown.error.line, 2);
    const hidden = await context.refuses({ name: 'SyntaxError' }, '\n  var 5;', { filename: 'my.js', displayErrors: false });
    assert.strictEqual(hidden.error.sourceLine, undefined);
    await k.fails(400, { code: 'ERR_INVALID_ARG_TYPE', message: /'displayErrors'/ }, 'POST', `${context.url}/run`, { source: '1', displayErrors: 1 });
    await context.refuses({ stack: /evalmachine\.<anonymous>:1/ }, 'throw new Error("x")');
    await context.refuses({ stack: /at named\.js:1:7/ }, 'throw new Error("x")', { filename: 'named.js' });
  });
  test('RC05 RC10 RC11', 'a timeout ends the run, and nothing else', async (k) => {
    const context = await k.context();
    const other = await k.context();
    let ended = false;
    const looping = context.refuses({ code: 'ERR_SCRIPT_EXECUTION_TIMEOUT', message: /timed out after 1000ms/ },
      'var seen = ""; try { for (;;); } catch { seen = "caught" } finally { seen += "finally" }', { timeout: 1000 }).finally(() => { ended = true; });
    assert.strictEqual(await other.run('6 * 7'), 42);
    assert.ok(!ended, 'others are served meanwhile');
    assert.strictEqual((await looping).outcome, 'time_limit');
    assert.strictEqual(await context.run('seen'), '');
    assert.strictEqual(await context.run('1 + 1'), 2);
  });
  test('RC06 RN10', 'a timeout is a strictly positive integer, in every run', async (k) => {
    const context = await k.context();
    const script = await k.script({ source: '1', session: context.session });
    const module = await k.module({ source: '1', context: context.id });
    const func = await k.func({ source: 'return 1', context: context.id });
    const runs = [[`${context.url}/run`, { source: '1' }], [`/v1/scripts/${script}/run`, { context: context.id }],
      [`/v1/modules/${module}/evaluate`, {}], [`/v1/functions/${func}/call`, {}], [`${context.url}/measureMemory`, {}]];
    for (const [url, body] of runs) {
      for (const timeout of [0, -1, 1.5, 2 ** 32, -0.5])
        await k.fails(400, { code: 'ERR_OUT_OF_RANGE', message: /'timeout'/ }, 'POST', url, { ...body, timeout });
      for (const timeout of ['1', null, true, [], {}])
        await k.fails(400, { code: 'ERR_INVALID_ARG_TYPE', message: /'timeout'/ }, 'POST', url, { ...body, timeout });
    }
    for (const timeout of ['0', '1e99', 'x', ''])
      assert.strictEqual((await k.ask('POST', `${context.url}/run?timeout=${timeout}`, '1')).status, 400);
    assert.strictEqual((await k.ok('POST', `${context.url}/run?timeout=1000&filename=q.js&lineOffset=2`, '41 + 1')).result, 42);
  });
  test('RC07 ME07', 'no SIGINT: breakOnSigint is refused; DELETE of the session interrupts', async (k) => {
    const context = await k.context();
    const url = `${context.url}/run`;
    assert.strictEqual(await context.run('1', { breakOnSigint: false }), 1);
    await k.fails(400, { code: 'ERR_INVALID_ARG_VALUE', message: /'breakOnSigint'/ }, 'POST', url, { source: '1', breakOnSigint: true });
    await k.fails(400, { code: 'ERR_INVALID_ARG_TYPE', message: /'breakOnSigint'/ }, 'POST', url, { source: '1', breakOnSigint: 1 });
    const looping = k.fails(410, { code: 'ERR_SESSION_GONE', message: /closed/ }, 'POST', url, { source: 'for (;;);', timeout: 60000 });
    await until('a run', async () => await k.stat('jobs_running') === 1);
    await context.end();
    await looping;
  });
  test('RN01 RN09 EX06 VR03', 'one script, three new contexts', async (k) => {
    const first = await k.context();
    const contexts = [first, await first.beside(), await first.beside()];
    const script = await k.script({ source: 'globalVar = "set"', session: first.session });
    for (const context of contexts) assert.strictEqual(await k.value(script, context), 'set');
    for (const context of contexts) assert.deepStrictEqual(await context.globals(), { globalVar: 'set' });
  });
  test('EX18', 'runInContext ten times', async (k) => {
    const context = await k.context({ globals: { globalVar: 1 }, contextified: true });
    for (let i = 0; i < 10; i++) await context.run('globalVar *= 2;');
    assert.deepStrictEqual(await context.globals(), { globalVar: 1024 });
  });
  test('EX19', 'runInNewContext', async (k) => {
    const context = await k.context({ globals: { animal: 'cat', count: 2 } });
    await context.run('count += 1; name = "kitty"');
    assert.deepStrictEqual(await context.globals(), { animal: 'cat', count: 3, name: 'kitty' });
  });
  test('VR04 VR08', 'one schema: every option of runInNewContext has its place', async (k) => {
    const context = await k.context({ name: 'n', origin: 'https://o', codeGeneration: { strings: true, wasm: true }, microtaskMode: 'afterEvaluate' });
    assert.strictEqual(await context.run('42', { filename: 'f.js', lineOffset: 1, columnOffset: 1, displayErrors: true, timeout: 1000, breakOnSigint: false }), 42);
    for (const field of ['cachedData', 'produceCachedData'])
      await k.fails(400, { code: 'ERR_UNKNOWN_OPTION', message: new RegExp(field) }, 'POST', `${context.url}/run`, { source: '1', [field]: true });
  });
  test('RT01 RT02 RT03 EX07', 'a plain context\'s global is its own; a script run a thousand times', async (k) => {
    const context = await k.context({ globals: { globalVar: 0 } });
    const script = await k.script({ source: 'globalVar += 1', filename: 'myfile.vm', session: context.session });
    for (let i = 0; i < 10; i++) await Promise.all(Array.from({ length: 100 }, () => k.value(script, context)));
    assert.deepStrictEqual(await context.globals(), { globalVar: 1000 });
    assert.strictEqual(await context.run('globalVar === globalThis.globalVar && typeof script'), 'undefined');
  });
  test('RT04 TM04', 'a run takes no microtaskMode', async (k) => {
    const context = await k.context();
    await k.fails(400, { code: 'ERR_UNKNOWN_OPTION', message: /'microtaskMode'/ }, 'POST', `${context.url}/run`, { source: '1', microtaskMode: 'afterEvaluate' });
  });
  test('VR06', 'as indirect eval: var makes a property that cannot be deleted', async (k) => {
    const context = await k.context();
    await context.run('var v = 1;');
    assert.deepStrictEqual(await context.run('[globalThis.v, delete globalThis.v, (0, eval)("v + 1")]'), [1, false, 2]);
  });
  test('TM01 TM02 EX22 EX25', 'microtasks run when the script is done, and have a limit of the service', async (k) => {
    const context = await k.context();
    await context.run('var log = []; Promise.resolve().then(() => log.push("loop")); log.push("done executing");');
    assert.deepStrictEqual(await context.run('log'), ['done executing', 'loop']);
    await context.refuses({ code: 'ERR_SCRIPT_EXECUTION_TIMEOUT' }, 'Promise.resolve().then(() => { for (;;); });', { timeout: 100 });
    assert.strictEqual(await context.run('log.length'), 2);
  });
  test('TM06 HS03', 'no functions of a host: none that queues outside of the context', async (k) => {
    const context = await k.context();
    assert.strictEqual(await context.run('[typeof setTimeout, typeof setImmediate, typeof queueMicrotask, typeof process].join()'), 'undefined,undefined,undefined,undefined');
  });
  test('PR03 PR04 PR05 PR06 EX24', 'a pending promise holds nothing up; an empty run goes on with the queue', async (k) => {
    const context = await k.context({ microtaskMode: 'afterEvaluate' });
    await context.run('var state = "pending"; var settle; const p = new Promise((resolve) => { settle = resolve; }); p.then(() => { state = "OK"; });');
    assert.strictEqual(await context.run('state'), 'pending');
    await context.run('settle(1)');
    await context.run('');
    assert.strictEqual(await context.run('state'), 'OK');
  });
  test('EX26 VR05', 'indirect eval does the same as a run', async (k) => {
    const context = await k.context();
    assert.strictEqual(await context.run('(0, eval)("var w = 5; w * 2")'), await context.run('var w = 5; w * 2'));
  });
  test('MM01 MM02 MM05 MM06 MM07 EX16', 'measureMemory: summary', async (k) => {
    const context = await k.context({ globals: { kept: 'x'.repeat(1000) } });
    const { total, other, v8Version } = await context.measure({ execution: 'eager' });
    assert.ok(Number.isInteger(total.jsMemoryEstimate) && total.jsMemoryEstimate > 0);
    const [low, high] = total.jsMemoryRange;
    assert.ok(low <= high && low <= total.jsMemoryEstimate && total.jsMemoryEstimate <= high);
    assert.strictEqual(other, undefined);
    assert.match(v8Version, /^\d+\.\d+/);
    await k.fails(422, { code: /./ }, 'POST', `${context.url}/measureMemory`, { timeout: 30 });
  });
  test('MM03 MM09 EX17', 'measureMemory: detailed shows all contexts of the session, and no other session', async (k) => {
    const context = await k.context({ name: 'a' });
    const b = await context.beside({ name: 'b' });
    await k.context({ name: 'elsewhere' });
    await b.run('globalThis.big = new Array(200000).fill(1.5);');
    const { total, current, other } = await context.measure({ mode: 'detailed', execution: 'eager' });
    assert.strictEqual(current.name, 'a');
    assert.deepStrictEqual(other.map((one) => one.name), ['b']);
    assert.ok(other[0].jsMemoryEstimate > current.jsMemoryEstimate + 1e6);
    assert.ok(total.jsMemoryEstimate >= other[0].jsMemoryEstimate);
  });
  test('MM04', 'execution default ends with its deadline, not never', async (k) => {
    const context = await k.context();
    const began = Date.now();
    const answer = await k.ask('POST', `${context.url}/measureMemory`, { timeout: 100 });
    assert.ok(answer.status === 200 || answer.status === 422);
    assert.ok(Date.now() - began < 3000);
  });
  test('MM08', 'heap statistics beside it', async (k) => {
    const context = await k.context();
    const { heap } = await context.measure({ execution: 'eager' });
    assert.ok(heap !== undefined && Object.values(heap).every((value) => typeof value === 'number'));
  });
  test('MM10', 'bad options', async (k) => {
    const { url } = await k.context();
    for (const [field, value, code] of [['mode', 'all', 'ERR_INVALID_ARG_VALUE'], ['execution', 'soon', 'ERR_INVALID_ARG_VALUE'], ['mode', null, 'ERR_INVALID_ARG_TYPE'],
      ['execution', 1, 'ERR_INVALID_ARG_TYPE']])
      await k.fails(400, { code, message: new RegExp(`'${field}'`) }, 'POST', `${url}/measureMemory`, { [field]: value });
    await k.fails(400, { code: 'ERR_INVALID_ARG_TYPE' }, 'POST', `${url}/measureMemory`, Buffer.from('"string"'));
  });
};
