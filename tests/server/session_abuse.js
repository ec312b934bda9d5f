// SPDX-License-Identifier: MIT
//
// session_abuse.js: what clients must not be able to do with the routes of sessions, and many of them at once.
'use strict';

const assert = require('assert');
const { createHash } = require('crypto');
const fs = require('fs');
const net = require('net');
const path = require('path');
const { Kilnd } = require('./session_support.js');
const { until } = require('../kilnd.js');
const { descriptorsOf } = require('../processes.js');

const HEX = 'a'.repeat(32);

// Every route of an object, with a body that is right but for the object's id.
const OBJECT_ROUTES = (id) => [
  ['POST', `/v1/contexts/${id}/run`, '1'], ['POST', `/v1/contexts/${id}/measureMemory`], ['GET', `/v1/contexts/${id}/globals`],
  ['GET', `/v1/contexts/${id}`], ['DELETE', `/v1/contexts/${id}`], ['POST', `/v1/scripts/${id}/run`, { context: id }], ['GET', `/v1/scripts/${id}/createCachedData`],
  ['POST', `/v1/scripts/${id}/createCachedData`], ['DELETE', `/v1/scripts/${id}`], ['POST', `/v1/functions/${id}/call`, {}],
  ['GET', `/v1/functions/${id}/createCachedData`], ['DELETE', `/v1/functions/${id}`], ['POST', `/v1/modules/${id}/link`],
  ['POST', `/v1/modules/${id}/evaluate`], ['POST', `/v1/modules/${id}/setExport`, { name: 'x', value: 1 }], ['GET', `/v1/modules/${id}`],
  ['GET', `/v1/modules/${id}/namespace`], ['GET', `/v1/modules/${id}/error`], ['GET', `/v1/modules/${id}/createCachedData`],
  ['DELETE', `/v1/modules/${id}`],
];

function raw(port, text) {
  return new Promise((resolve, reject) => {
    const socket = net.connect(port, '127.0.0.1', () => socket.write(text));
    let answer = '';
    socket.on('data', (chunk) => { answer += chunk; });
    socket.on('close', () => resolve(answer));
    socket.on('error', reject);
  });
}

// Asks and hangs up.
function leave(port, text) {
  const socket = net.connect(port, '127.0.0.1', () => { socket.write(text, () => socket.destroy()); });
  socket.on('error', () => {});
}

// A server of its own, with these options.
async function withServer(k, options, body) {
  const other = await Kilnd.start(k.program, k.engine, options);
  try {
    await body(other);
  } finally {
    assert.strictEqual(await other.stop(), 0);
  }
}

module.exports = ({ test }) => {
  test('', 'ids that nobody has are 404, on every route', async (k) => {
    for (const id of [`${HEX}-1`, 'x', '-', `${HEX}`, `${HEX}-`, `${HEX}-01`, `${HEX}-1e9`, `${HEX}--1`, '%2e%2e', '%00', `${'A'.repeat(32)}-1`, `${HEX}-18446744073709551616`,
      'x'.repeat(3000), '%F0%9F%92%A9', '*', `${HEX}-1%20`]) {
      for (const [method, url, body] of OBJECT_ROUTES(id)) {
        const answer = await k.ask(method, url, body);
        assert.ok(answer.status === 404 || (id === '%00' && answer.status === 400), `${method} ${url.slice(0, 80)}: ${answer.status} ${answer.bytes}`);
      }
    }
    for (const session of [HEX, '', 'x', '../x']) {
      await k.fails(404, {}, 'GET', `/v1/sessions/${encodeURIComponent(session)}`);
      await k.fails(404, {}, 'DELETE', `/v1/sessions/${encodeURIComponent(session)}`);
    }
    for (const session of [HEX, 'x', '\0'])
      for (const noun of ['context', 'script']) assert.ok([400, 404].includes((await k.ask('POST', `/v1/${noun}s`, { session, source: noun === 'script' ? '1' : undefined })).status));
  });
  test('', 'an object answers only under its own kind', async (k) => {
    const context = await k.context();
    const script = await k.script({ source: '1', session: context.session });
    const func = await k.func({ source: '1', context: context.id });
    const module = await k.module({ source: '1', context: context.id });
    for (const [noun, id] of Object.entries({ contexts: context.id, scripts: script, functions: func, modules: module })) {
      for (const [method, url, body] of OBJECT_ROUTES(id)) {
        if (url.startsWith(`/v1/${noun}/`)) continue;
        const answer = await k.ask(method, url, body);
        assert.ok([400, 404].includes(answer.status), `${method} ${url}: ${answer.status} ${answer.bytes}`);
      }
    }
    assert.strictEqual((await k.ok('GET', `/v1/sessions/${context.session}`)).objects, 4);
  });
  test('', 'paths that are nearly right', async (k) => {
    const context = await k.context();
    for (const url of [`/v1/contexts/${context.id}/`, `/v1/contexts/${context.id}/run/`, `/v1/contexts//run`, `/v1//contexts/${context.id}/globals`, `/v1/contexts/${context.id}/../globals`,
      `/v1/contexts/${context.id}%2Fglobals/x`, `/v1/contexts/*`, '/v1/contexts/', `/v1/Contexts/${context.id}/globals`, `/v1/contexts/${context.id}/globals/..`, '/v1/modules/x/y', '/v1/sessions', '/v1/sessions/'])
      for (const method of ['GET', 'POST', 'DELETE']) assert.ok([404, 405].includes((await k.ask(method, url)).status), url);
    // One slash too many is the same path only where it is one.
    assert.match(await raw(k.port, `GET /v1/contexts/${context.id}/%67lobals HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n`), /^HTTP\/1\.1 200 /);
  });
  test('', 'methods: 405 says what a path takes', async (k) => {
    const { id } = await k.context();
    for (const [method, url, allow] of [['GET', '/v1/contexts', 'POST'], ['PUT', `/v1/modules/${id}`, 'GET, HEAD, DELETE'], ['POST', `/v1/contexts/${id}`, 'GET, HEAD, DELETE'],
      ['POST', `/v1/contexts/${id}/globals`, 'GET, HEAD'], ['PATCH', `/v1/scripts/${id}/createCachedData`, 'GET, HEAD, POST']]) {
      const answer = await k.ask(method, url);
      assert.deepStrictEqual([answer.status, answer.headers.allow], [405, allow], url);
    }
    assert.strictEqual((await k.ask('HEAD', `/v1/contexts/${id}/globals`)).status, 200);
    await k.fails(400, { code: 'ERR_UNEXPECTED_BODY' }, 'DELETE', `/v1/contexts/${id}`, {});
  });
  test('', 'unknown fields and query parameters are refused by name, on every route', async (k) => {
    const { id } = await k.context();
    const bodies = [['/v1/contexts'], ['/v1/scripts', { source: '1' }], ['/v1/functions', { source: '1', context: id }], ['/v1/modules', { source: '1', context: id }],
      ...OBJECT_ROUTES(id).filter(([method]) => method === 'POST').map(([, url, body]) => [url, typeof body === 'string' ? { source: body } : body])];
    for (const [url, body] of bodies)
      await k.fails(400, { code: 'ERR_UNKNOWN_OPTION', message: /'nonsense'/ }, 'POST', url, { ...body, nonsense: 1 });
    for (const [method, url] of OBJECT_ROUTES(id).filter(([method, , body]) => method !== 'POST' || body === undefined))
      await k.fails(400, { code: 'ERR_UNKNOWN_OPTION', message: /'nonsense'/ }, method, `${url}?nonsense=1`);
    await k.fails(400, { code: 'ERR_UNKNOWN_OPTION' }, 'POST', `/v1/contexts/${id}/run?filename=a`, { source: '1' });
    await k.fails(400, { code: 'ERR_INVALID_ARG_VALUE' }, 'POST', `/v1/contexts/${id}/run?filename=a&filename=b`, '1');
    for (const [url, type] of [[`/v1/contexts/${id}/run`, 'text/plain'], ['/v1/contexts', 'text/javascript'], [`/v1/modules/${id}/link`, 'text/javascript']])
      assert.strictEqual((await k.ask('POST', url, '{}', { 'Content-Type': type })).status, 415);
  });
  test('', 'JSON: too deep, too many values, twice the same name, half of it', async (k) => {
    const { id } = await k.context();
    const deep = '['.repeat(100000) + ']'.repeat(100000);
    for (const [text, status] of [[`{"globals":{"a":${deep}}}`, 400], ['{"globals":', 400], ['{"name":"a","name":"b"}', 400], ['{"name":"\\ud800"}', 400],
      [Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d]), 400], [`{"globals":{"a":[${'1,'.repeat(1000001)}1]}}`, 413], ['', 201]])
      assert.strictEqual((await k.ask('POST', '/v1/contexts', Buffer.from(text))).status, status, String(text).slice(0, 40));
    const nested = '[]'.replace('[]', '['.repeat(1500) + ']'.repeat(1500));
    const answer = await k.ask('POST', '/v1/contexts', Buffer.from(`{"globals":{"a":${nested}}}`));
    assert.ok(answer.status < 500, `${answer.status} ${answer.bytes}`);
    assert.ok((await k.ask('POST', `/v1/contexts/${id}/run`, 'let a = []; for (let i = 0; i < 1e5; i++) a = [a]; a')).status < 500);
  });
  test('', 'globals, results and names at their limits', async (k) => {
    const context = await k.context({ globals: { constructor: 1, __proto__: { x: 1 }, toString: 'mine', '': 2, 'a b': 3 } });
    assert.strictEqual(await context.run('globalThis["a b"] + globalThis[""]'), 5);
    await k.ask('POST', '/v1/contexts', Buffer.from('{"globals":{"__proto__":{"polluted":1},"undefined":1,"NaN":2,"globalThis":3}}'));
    assert.strictEqual(await (await context.beside()).run('({}).polluted === undefined'), true);
    await k.fails(413, { message: /name is 5000 bytes, limit 4096/ }, 'POST', '/v1/contexts', { name: 'n'.repeat(5000) });
    await k.fails(413, { message: /filename is 5000 bytes, limit 4096/ }, 'POST', `/v1/contexts/${context.id}/run`, { source: '1', filename: 'f'.repeat(5000) });
    await context.refuses({ code: /./ }, '"x".repeat(2 ** 28)', { timeout: 30000 });
    assert.strictEqual(await context.run('1'), 1);
    await context.refuses({}, 'Object.defineProperty(globalThis, "trap", { enumerable: true, get() { throw 1 } }); ({ toJSON() { throw new Error("json") } })');
    assert.ok((await k.ask('GET', `${context.url}/globals`)).status < 500);
  });
  test('', 'links: too many, unknown, twice', async (k) => {
    const context = await k.context();
    const id = await k.module({ context: context.id, source: 'import "a"' });
    const url = `/v1/modules/${id}/link`;
    const many = Object.fromEntries(Array.from({ length: 5000 }, (_, i) => [`m${i}`, id]));
    await k.fails(400, { code: 'ERR_OUT_OF_RANGE', message: /'links': 5000 entries, limit 4096/ }, 'POST', url, { links: many });
    await k.fails(422, { code: 'ERR_VM_MODULE_LINK_FAILURE' }, 'POST', url, { links: { unknown: id } });
    for (const [links, field] of [[[1], 'links\\[0\\]'], [[{}], 'links\\[0\\].specifier'], [[{ specifier: 'a' }], 'links\\[0\\].module'], [[{ specifier: 1, module: id }], 'links\\[0\\].specifier'],
      [[{ specifier: 'a', module: id, attributes: 1 }], 'links\\[0\\].attributes'], [[{ specifier: 'a', module: id, attributes: { type: 1 } }], 'links\\[0\\].attributes.type'], [[{ specifier: 'a', module: id, x: 1 }], 'links\\[0\\].x']])
      await k.fails(400, { message: new RegExp(`'${field}'`) }, 'POST', url, { links });
    const self = await k.link(id, { a: id });
    assert.strictEqual(self.status, 'linked');
    await k.evaluate(id);
  });
  test('', 'a session has at most 4096 objects', async (k) => {
    const context = await k.context();
    let refused;
    for (let i = 0; i < 5000 && !refused; i += 100) {
      const answers = await Promise.all(Array.from({ length: 100 }, () => k.ask('POST', '/v1/scripts', { source: '1', session: context.session })));
      refused = answers.find((answer) => answer.status !== 201);
    }
    assert.ok(refused.status >= 400 && refused.status < 500, `${refused.status} ${refused.bytes}`);
    assert.match(refused.json.error.message, /4096/);
    assert.strictEqual((await k.ok('GET', `/v1/sessions/${context.session}`)).objects, 4096);
    assert.strictEqual(await context.run('1'), 1);
  });
  test('', 'DELETE: an object, its session', async (k) => {
    const context = await k.context();
    const other = await context.beside();
    const script = await k.script({ source: 'typeof x', session: context.session });
    assert.strictEqual((await k.ok('DELETE', `/v1/scripts/${script}`, undefined, 204)).length, 0);
    await k.fails(404, {}, 'DELETE', `/v1/scripts/${script}`);
    await k.fails(404, {}, 'POST', `/v1/scripts/${script}/run`, { context: context.id });
    await k.ok('DELETE', context.url, undefined, 204);
    await k.ok('DELETE', other.url, undefined, 204);
    const info = await k.ok('GET', `/v1/sessions/${context.session}`);
    assert.strictEqual(info.objects, 0);
    const again = await context.beside();
    assert.strictEqual(await again.run('1'), 1);
    await again.end();
    for (const [method, url, body] of OBJECT_ROUTES(again.id)) await k.fails(410, { code: 'ERR_SESSION_GONE', message: /closed/ }, method, url, body);
    await k.fails(410, { code: 'ERR_SESSION_GONE' }, 'DELETE', `/v1/sessions/${context.session}`);
    await k.fails(410, { code: 'ERR_SESSION_GONE' }, 'GET', `/v1/sessions/${context.session}`);
    await k.fails(410, { code: 'ERR_SESSION_GONE' }, 'POST', '/v1/contexts', { session: context.session });
  });
  test('', 'a session that ended says why: 410', async (k) => {
    for (const [source, reason] of [['var a = []; for (;;) a.push(new Array(1e5).fill(1.5))', /memory_limit/], ['[].indexOf.call({ length: 2 ** 53 - 1 }, 1)', /time_limit/]]) {
      const context = await k.context();
      const neighbour = await k.context();
      const url = `${context.url}/run?timeout=${reason.source === 'time_limit' ? 200 : 20000}`;
      await k.fails(410, { code: 'ERR_SESSION_GONE', message: reason }, 'POST', url, source);
      await k.fails(410, { code: 'ERR_SESSION_GONE', message: reason }, 'POST', `${context.url}/run`, '1');
      assert.strictEqual(await neighbour.run('1'), 1);
    }
  });
  test('', 'the longest idle session makes room; where none is idle there is none', async (k) => {
    await withServer(k, ['--sessions', '2', '--workers', '2'], async (other) => {
      const first = await other.context();
      const second = await other.context();
      assert.strictEqual(await first.run('1'), 1);
      const third = await other.context();
      await other.fails(410, { message: /evicted/ }, 'POST', `${second.url}/run`, '1');
      assert.strictEqual(await first.run('1'), 1);
      assert.strictEqual(await other.stat('sessions_ended_evicted'), 1);
      const running = [first, third].map((context) => other.ask('POST', `${context.url}/run?timeout=60000`, 'for (;;);'));
      await until('two runs', async () => await other.stat('jobs_running') === 2);
      await other.fails(503, { code: 'ERR_BUSY' }, 'POST', '/v1/contexts');
      for (const context of [first, third]) await context.end();
      for (const answer of await Promise.all(running)) assert.match(answer.json.error.message, /closed/);
    });
  });
  test('', 'idle sessions end', async (k) => {
    await withServer(k, ['--session-idle-ms', '100'], async (other) => {
      const { session } = await other.context();
      await until('its end', async () => (await other.ask('GET', `/v1/sessions/${session}`)).status === 410);
      await other.fails(410, { message: /idle/ }, 'GET', `/v1/sessions/${session}`);
      assert.strictEqual(await other.stat('sessions_ended_idle'), 1);
    });
  });
  test('', 'with tokens the role run is needed', async (k) => {
    const file = path.join(k.dir, 'tokens');
    const line = (role) => `${role} sha256:${createHash('sha256').update(`token-of-${role}`).digest('hex')} ${role}\n`;
    fs.writeFileSync(file, line('read') + line('run'), { mode: 0o600 });
    await withServer(k, ['--tokens', file], async (other) => {
      const as = (role, method, url, body) => other.ask(method, url, body, role ? { Authorization: `Bearer token-of-${role}` } : {});
      const made = await as('run', 'POST', '/v1/contexts');
      assert.strictEqual(made.status, 201);
      for (const [method, url, body] of [['POST', '/v1/contexts'], ['POST', '/v1/scripts', '1'], ...OBJECT_ROUTES(made.json.id), ['GET', `/v1/sessions/${made.json.session}`], ['DELETE', `/v1/sessions/${made.json.session}`]]) {
        assert.strictEqual((await as(undefined, method, url, body)).status, 401, url);
        assert.strictEqual((await as('read', method, url, body)).status, 403, url);
      }
      assert.strictEqual((await as('run', 'POST', `/v1/contexts/${made.json.id}/run`, '6 * 7')).json.result, 42);
    });
  });
  test('', '50 clients of one session: in order, none lost', async (k) => {
    const context = await k.context({ globals: { n: 0 } });
    const script = await k.script({ source: 'n += 1', session: context.session });
    const seen = (await Promise.all(Array.from({ length: 50 }, async () => {
      const values = [];
      for (let i = 0; i < 20; i++) values.push(await k.value(script, context));
      assert.deepStrictEqual(values, [...values].sort((a, b) => a - b));
      return values;
    }))).flat().sort((a, b) => a - b);
    assert.deepStrictEqual(seen, Array.from({ length: 1000 }, (_, i) => i + 1));
  });
  test('', '50 sessions at once: each its own', async (k) => {
    const contexts = await Promise.all(Array.from({ length: 50 }, (_, i) => k.context({ globals: { mine: i } })));
    assert.strictEqual(new Set(contexts.map((context) => context.session)).size, 50);
    const ran = await Promise.all(contexts.flatMap((context, i) => [1, 2, 3].map((n) => context.run(`mine * 10 + ${n}`).then((value) => assert.strictEqual(value, i * 10 + n)))));
    assert.strictEqual(ran.length, 150);
    const looping = contexts.slice(0, 2).map((context) => k.ask('POST', `${context.url}/run?timeout=300`, 'for (;;);'));
    assert.strictEqual(await contexts[40].run('mine'), 40);
    for (const answer of await Promise.all(looping)) assert.strictEqual(answer.json.error.code, 'ERR_SCRIPT_EXECUTION_TIMEOUT', String(answer.bytes));
    await Promise.all(contexts.slice(2).map((context) => context.end()));
    assert.ok(await k.stat('sessions_open') <= 64);
  });
  test('', 'clients that go away leave nothing behind', async (k) => {
    const context = await k.context();
    const descriptors = () => descriptorsOf(k.pid);
    await context.run('1');
    const before = descriptors();
    for (let i = 0; i < 20; i++)
      leave(k.port, `POST ${context.url}/run?timeout=30 HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: text/javascript\r\nContent-Length: 9\r\n\r\nfor (;;);`);
    assert.strictEqual(await context.run('6 * 7'), 42);
    await until('closed connections', async () => (await k.ask('GET', '/healthz')).status === 200 && descriptors() <= before + 2);
  });
};
