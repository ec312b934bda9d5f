// SPDX-License-Identifier: MIT
//
// node access_log.js KILND KILN-ENGINE: request ids and the access log, in both formats, under clients that try to write
// lines of their own.
'use strict';

const fs = require('fs');
const net = require('net');
const path = require('path');
const { spawnSync } = require('child_process');
const { Kilnd, runCases, assert, temporaryFolder, until, JSON: JSON_TYPE } = require('./support.js');

const [program, engine] = process.argv.slice(2);
const FIELDS = ['time', 'id', 'client', 'method', 'route', 'status', 'outcome', 'bytesIn', 'bytesOut', 'durationUs', 'cache', 'key', 'engine', 'end'];
const MADE = /^[0-9a-f]{24}$/;

// The lines of requests; every line of the log must be of a known form.
function textLines(log) {
  return log.split('\n').slice(0, -1).map((line) => {
    const match = /^(info|warn|error) (\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z) ([a-z-]+)((?: [\x21-\x7e]+)*)$/.exec(line);
    assert(match, `line: ${JSON.stringify(line)}`);
    return match[3] === 'request' ? Object.fromEntries(match[4].slice(1).split(' ').map((pair) => pair.split('='))) : null;
  }).filter(Boolean);
}

function jsonLines(text) {
  return text.split('\n').slice(0, -1).map((line) => {
    const one = JSON.parse(line);
    for (const name of Object.keys(one)) assert(FIELDS.includes(name), `field ${name}`);
    assert(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/.test(one.time) && /^[\w.-]{1,64}$/.test(one.id));
    assert.strictEqual(one.client, '127.0.0.1');
    return one;
  });
}

// Sends bytes as they are; all that came back.
const raw = (kilnd, bytes) => new Promise((resolve) => {
  let got = '';
  const socket = net.connect(kilnd.port, '127.0.0.1', () => socket.end(bytes));
  socket.on('data', (data) => (got += data.toString('latin1'))).on('close', () => resolve(got)).on('error', () => {});
});

let kilnd;
const file = path.join(temporaryFolder(), 'access.log');
const lines = () => jsonLines(fs.readFileSync(file, 'utf8'));
const lineOf = (id) => until(`the line of ${id}`, () => lines().find((one) => one.id === id));

const cases = {
  async 'the client\'s id is taken if it is safe'() {
    kilnd = await Kilnd.start(program, engine, ['--access-log-json', '--access-log-file', file]);
    for (const id of ['a', 'A.b_c-9', 'x'.repeat(64)])
      assert.strictEqual((await kilnd.ask('GET', '/healthz', { headers: { 'X-Request-Id': id } })).headers['x-request-id'], id);
    const made = new Set();
    for (const id of ['', 'x'.repeat(65), 'a b', 'a"b', 'a\tb', 'ä', '{}', 'a;b', 'a/b']) {
      const got = (await kilnd.ask('GET', '/healthz', { headers: { 'X-Request-Id': Buffer.from(id).toString('latin1') } })).headers['x-request-id'];
      assert(MADE.test(got), `${id}: ${got}`);
      made.add(got);
    }
    assert.strictEqual(made.size, 9);
  },
  async 'made ids are unique'() {
    const ids = new Set();
    for (let i = 0; i < 40; i++)
      for (const answer of await Promise.all([...Array(50)].map(() => kilnd.ask('GET', '/healthz')))) ids.add(answer.headers['x-request-id']);
    assert.strictEqual(ids.size, 2000);
    assert([...ids].every((id) => MADE.test(id)));
  },
  async 'every kind of answer has one'() {
    const answers = [
      await kilnd.ask('GET', '/nothing'), await kilnd.ask('DELETE', '/healthz'), await kilnd.post('/v1/run', '1'), await kilnd.post('/v1/run', 'throw 1'),
      await kilnd.post('/v1/run', '{', JSON_TYPE), await kilnd.post('/v1/run', '1', 'text/html'), await kilnd.ask('GET', '/healthz', { headers: { Host: 'evil' } }),
      await kilnd.ask('HEAD', '/healthz'), await kilnd.post('/v1/createCachedData', '1'),
    ];
    answers.forEach((answer) => assert(MADE.test(answer.headers['x-request-id']), `${answer.status}`));
    for (const bytes of ['GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n', 'GET /%00 HTTP/1.1\r\nHost: localhost\r\n\r\n',
      `POST /v1/run HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/javascript\r\nContent-Length: 99999999999\r\n\r\n`])
      assert(/\r\nX-Request-Id: [0-9a-f]{24}\r\n/.test(await raw(kilnd, bytes)), bytes);
  },
  async 'a blob from memory has one'() {
    const key = (await kilnd.post('/v1/createCachedData', '2')).headers['kiln-key'];
    for (let i = 0; i < 3; i++) {
      const answer = await kilnd.ask('GET', `/v1/cachedData/${key}`, { headers: { 'X-Request-Id': `hot-${i}` } });
      assert.strictEqual(answer.headers['x-request-id'], `hot-${i}`);
      const line = await lineOf(`hot-${i}`);
      assert.strictEqual(line.cache, i === 0 ? 'hit' : 'hot');
      assert.strictEqual(line.key, key.slice(0, 12));
      assert.strictEqual(line.route, '/v1/cachedData/{key}');
      assert.strictEqual(line.bytesOut, answer.bytes.length);
    }
  },
  async 'what a line says'() {
    const source = 'globalThis.x = 1;';
    const answer = await kilnd.post('/v1/createCachedData?filename=secret-name.js', source, undefined, { 'X-Request-Id': 'bake' });
    const line = await lineOf('bake');
    const { time, durationUs, ...rest } = line;
    assert(Math.abs(Date.parse(time) - Date.now()) < 60000 && durationUs > 0 && durationUs < 60e6);
    assert.deepStrictEqual(rest, {
      id: 'bake', client: '127.0.0.1', method: 'POST', route: '/v1/createCachedData', status: 200, outcome: 'ok', bytesIn: source.length,
      bytesOut: answer.bytes.length, cache: 'miss', key: answer.headers['kiln-key'].slice(0, 12), engine: answer.headers['kiln-engine'],
    });
    for (const [id, body, wanted] of [['ok', '1', 'ok'], ['throws', 'throw 1', 'exception'], ['loops', 'for(;;);', 'time_limit']]) {
      await kilnd.post('/v1/run?timeout=200', body, undefined, { 'X-Request-Id': id });
      const one = await lineOf(id);
      assert.deepStrictEqual([one.outcome, one.status], [wanted, wanted === 'ok' ? 200 : 422]);
    }
    assert(!fs.readFileSync(file, 'utf8').includes('secret'), 'no URL is kept');
  },
  async 'nothing a client sends makes a line or breaks one'() {
    const evil = ['\x01\x1b[31m', '%0d%0ainfo%20forged', '%22%7d%0a%7b%22id%22:%22forged', '\x7f', '\xff\xfe', '%00', '\u2028', '"', '\\'];
    const before = lines().length;
    let sent = 0;
    for (const text of evil) {
      const bytes = Buffer.from(text, 'latin1').toString('latin1');
      for (const request of [
        `GET /${bytes} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n`,
        `GET /healthz?forged=${bytes} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n`,
        `G${bytes}T /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n`,
        `GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-Request-Id: forged${bytes}\r\nConnection: close\r\n\r\n`,
        `GET /healthz HTTP/1.1\r\nHost: forged${bytes}\r\nConnection: close\r\n\r\n`,
        `POST /v1/run HTTP/1.1\r\nHost: localhost\r\nContent-Type: forged${bytes}\r\nContent-Length: 1\r\nConnection: close\r\n\r\n1`,
        `GET /v1/cachedData/forged${bytes} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n`,
      ]) {
        await raw(kilnd, Buffer.from(request, 'latin1'));
        sent++;
      }
    }
    await kilnd.ask('GET', '/healthz', { headers: { 'X-Request-Id': 'after' } });
    await lineOf('after');
    const text = fs.readFileSync(file, 'latin1');
    assert(!text.includes('forged') && !/[^\n\x20-\x7e]/.test(text));
    const more = lines().length - before - 1;
    assert(more <= sent && more >= sent * 0.6, `${more} lines of ${sent} requests`);
  },
  async 'an answer that was cut short says so'() {
    const socket = net.connect(kilnd.port, '127.0.0.1');
    socket.on('error', () => {});
    socket.write('POST /v1/run HTTP/1.1\r\nHost: localhost\r\nX-Request-Id: half\r\nContent-Type: text/javascript\r\nContent-Length: 9\r\n\r\n1');
    await until('the request', async () => (await kilnd.ask('GET', '/metrics')).text.includes('\nkiln_http_requests_in_flight 2\n'));
    socket.destroy();
    const line = await lineOf('half');
    assert.deepStrictEqual([line.status, line.end], [0, 'aborted']);
  },
  async 'SIGHUP opens the file again; no line is lost meanwhile'() {
    const moved = `${file}.1`;
    const total = 400;
    let asked = 0;
    const before = lines().length;
    const ask = async () => { while (asked < total) await kilnd.ask('GET', '/healthz', { headers: { 'X-Request-Id': `hup-${asked++}` } }); };
    const asking = [ask(), ask(), ask()];
    await until('some', () => asked > 100);
    fs.renameSync(file, moved);
    kilnd.child.kill('SIGHUP');
    await Promise.all(asking);
    await until('the new file', async () => (await kilnd.ask('GET', '/healthz')) && fs.existsSync(file) && lines().length > 0);
    const ids = [moved, file].flatMap((one) => jsonLines(fs.readFileSync(one, 'utf8'))).map((one) => one.id).filter((id) => id.startsWith('hup-'));
    assert.strictEqual(new Set(ids).size, total);
    assert(before > 0 && ids.length === total);
  },
  async 'SIGHUP with no place for the file keeps the old one'() {
    const hidden = `${path.dirname(file)}.away`;
    fs.renameSync(path.dirname(file), hidden);
    kilnd.child.kill('SIGHUP');
    await until('a complaint', () => kilnd.log.includes('error') && kilnd.log.includes('access-log'));
    fs.renameSync(hidden, path.dirname(file));
    await kilnd.ask('GET', '/healthz', { headers: { 'X-Request-Id': 'kept' } });
    await lineOf('kept');
    assert.strictEqual(await kilnd.stop(), 0);
  },
  async 'text, on standard error'() {
    kilnd = await Kilnd.start(program, engine, ['--access-log', '--no-store'], { store: false });
    await kilnd.post('/v1/run', '1', undefined, { 'X-Request-Id': 'one' });
    await kilnd.ask('GET', '/n%20x=y%0ainfo', { headers: { 'X-Request-Id': 'two' } });
    await until('lines', () => kilnd.log.includes('id=two'));
    assert.strictEqual(await kilnd.stop(), 0);
    const [one, two] = textLines(kilnd.log);
    assert.deepStrictEqual([one.id, one.method, one.route, one.status, one.outcome, one.in], ['one', 'POST', '/v1/run', '200', 'ok', '1']);
    assert(Number(one.us) > 0 && Number(one.out) > 0 && one.client === '127.0.0.1');
    assert.deepStrictEqual([two.id, two.route, two.status, two.cache], ['two', 'none', '404', undefined]);
  },
  async 'wrong options are refused'() {
    const tries = [[['--access-log-format', 'json'], 2, /no such option/], [['--access-log-file', '/nonexistent/log'], 1, /--access-log-file '\/nonexistent\/log': No such file/]];
    for (const [options, status, message] of tries) {
      const ended = spawnSync(program, ['--listen', '127.0.0.1:0', '--no-store', '--engine-program', engine, ...options], { encoding: 'utf8' });
      assert.strictEqual(ended.status, status);
      assert(message.test(ended.stderr), ended.stderr);
    }
  },
};

runCases('server_access_log', cases);
