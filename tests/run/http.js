// SPDX-License-Identifier: MIT
//
// node http.js KILN_RUN EXAMPLE [NAME...]: node:http of kiln-run, with official Node as the client. Node also runs the
// same servers, to show that the tests are right, where it is not said that they are about kiln-run. EXAMPLE: the
// documents' "Running an HTTP server within a VM".
'use strict';

const assert = require('assert');
const fs = require('fs');
const http = require('http');
const net = require('net');
const path = require('path');
const { once } = require('events');
const { spawn } = require('child_process');

const [kiln, example, ...only] = process.argv.slice(2);
const MiB = 1 << 20;
const sanitized = fs.readFileSync(kiln).includes('__asan_init');

// ---- programs ------------------------------------------------------------------------------------

const running = new Set();

// Starts a script; lines() are those it has printed, line(text) waits for one.
function start(program, file, ...args) {
  const options = program === kiln ? ['--no-store'] : [];
  const child = spawn(program, [...options, file, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
  const it = { child, out: '', err: '', pid: child.pid };
  running.add(child);
  child.stdout.setEncoding('utf8').on('data', (text) => { it.out += text; child.emit('more'); });
  child.stderr.setEncoding('utf8').on('data', (text) => { it.err += text; });
  it.end = once(child, 'close').then(([code, signal]) => {
    running.delete(child);
    it.status = signal ?? code;
    child.emit('more');
    return it.status;
  });
  it.lines = () => it.out.split('\n').slice(0, -1);
  it.line = async (pattern) => {
    for (;;) {
      const found = it.lines().find((line) => (typeof pattern === 'string' ? line === pattern : pattern.test(line)));
      if (found !== undefined) return found;
      if (it.status !== undefined) throw new Error(`it ended (${it.status}) without ${pattern}: ${it.out}${it.err}`);
      await once(child, 'more');
    }
  };
  return it;
}

async function serve(program, ...args) {
  const it = start(program, path.join(__dirname, 'http', 'server.js'), ...args);
  it.port = Number((await it.line(/^port \d+$/)).slice(5));
  return it;
}

async function inline(program, text) {
  const it = start(program, '-e', text);
  it.ports = (await it.line(/^ports? /)).split(' ').slice(1).map(Number);
  return it;
}

// ---- the client ----------------------------------------------------------------------------------

function ask(port, path, { method = 'GET', headers = {}, body, agent, host = '127.0.0.1' } = {}) {
  return new Promise((resolve, reject) => {
    const request = http.request({ port, host, path, method, headers, agent: agent ?? false }, (response) => {
      const chunks = [];
      const from = response.socket.localPort;
      response.on('data', (chunk) => chunks.push(chunk)).on('error', reject).on('end', () => resolve({
        status: response.statusCode, message: response.statusMessage, headers: response.headers,
        bytes: Buffer.concat(chunks), text: Buffer.concat(chunks).toString(), from,
      }));
    });
    request.on('error', reject);
    for (const piece of [body ?? []].flat()) request.write(piece);
    request.end();
  });
}

const text = async (...args) => (await ask(...args)).text;

// Sends bytes, and gives all that comes back until the server closes.
function raw(port, bytes) {
  return new Promise((resolve) => {
    const socket = net.connect(port, '127.0.0.1', () => socket.write(bytes, 'latin1'));
    let back = '';
    socket.setEncoding('latin1').on('data', (data) => { back += data; });
    socket.on('error', () => {}).on('close', () => resolve(back));
  });
}

const rss = (pid) => Number(/VmRSS:\s+(\d+)/.exec(fs.readFileSync(`/proc/${pid}/status`, 'utf8'))[1]) * 1024;

// ---- tests ---------------------------------------------------------------------------------------

const tests = [];
const test = (name, run) => tests.push({ name, run, programs: [kiln, process.execPath] });
const ours = (name, run) => tests.push({ name, run, programs: [kiln] });
// With the server of http/server.js.
const routed = (name, run, only = test) => only(name, async (program) => {
  const it = await serve(program);
  try {
    await run(it.port, it, program);
    assert.strictEqual(it.status, undefined, `it has ended: ${it.err}`);
    assert.strictEqual(it.err, '');
  } finally {
    it.child.kill('SIGKILL');
    await it.end;
  }
});

test('EX21 HS01 HS02 HS03 the example of the documents', async (program) => {
  const it = start(program, example);
  await it.line('Server running at http://127.0.0.1:8124/');
  for (const path of ['/', '/anything?x']) {
    const { status, headers, text } = await ask(8124, path);
    assert.deepStrictEqual([status, headers['content-type'], text], [200, 'text/plain', 'Hello World\n']);
  }
  it.child.kill('SIGKILL');
  await it.end;
});

routed('GET', async (port) => {
  const { status, message, headers, text } = await ask(port, '/hello');
  assert.deepStrictEqual([status, message, text], [200, 'OK', 'hello world\n']);
  assert.strictEqual(headers['content-type'], 'text/plain');
  assert.ok(Math.abs(Date.parse(headers.date) - Date.now()) < 5000, headers.date);
  assert.strictEqual((await ask(port, '/nowhere')).status, 404);
});

routed('headers of an answer', async (port) => {
  const { status, message, headers } = await ask(port, '/head');
  assert.deepStrictEqual([status, message], [203, 'Quite So']);
  assert.deepStrictEqual(headers['set-cookie'], ['a=1', 'b=2']);
  assert.deepStrictEqual([headers['x-one'], headers['x-two'], headers['x-empty'], headers['x-gone']],
    ['one', 'tw\u00f6', '', undefined]);
});

routed('headers of a request', async (port) => {
  const head = 'GET /request?a=b%20c#d HTTP/1.1\r\nHost: x\r\nX-Mixed: \xf6\r\nCookie: a\r\nX-Two: 1\r\nx-two: 2\r\n' +
    'Cookie: b\r\nUser-Agent: one\r\nUser-Agent: two\r\nConnection: close\r\n\r\n';
  const answer = await raw(port, head);
  const seen = JSON.parse(Buffer.from(answer.slice(answer.indexOf('{')), 'latin1').toString());
  assert.deepStrictEqual(seen, {
    method: 'GET', url: '/request?a=b%20c#d', httpVersion: '1.1',
    headers: {
      'host': 'x', 'x-mixed': '\u00f6', 'cookie': 'a; b', 'x-two': '1, 2', 'user-agent': 'one', 'connection': 'close',
    },
    rawHeaders: ['Host', 'x', 'X-Mixed', '\u00f6', 'Cookie', 'a', 'X-Two', '1', 'x-two', '2', 'Cookie', 'b',
      'User-Agent', 'one', 'User-Agent', 'two', 'Connection', 'close'],
  });
});

routed('bodies of requests', async (port) => {
  const body = Buffer.from(Array.from({ length: 300000 }, (_, i) => (i * 7) & 255));
  for (const [method, sent] of [['POST', [body]], ['PUT', [body.subarray(0, 70000), body.subarray(70000)]]]) {
    const { headers, bytes } = await ask(port, '/echo', { method, body: sent });
    assert.ok(bytes.equals(body));
    assert.strictEqual(headers['x-complete'], 'true');
  }
  const post = (path, body) => text(port, path, { method: 'POST', body });
  assert.strictEqual(await post('/text', 'gr\u00fc\u00dfe \u20ac'), 'GR\u00dcSSE \u20ac');
  assert.strictEqual(await post('/iterate', body), '300000');
  assert.strictEqual(await post('/pipe', 'piped'), 'piped');
  assert.strictEqual(await post('/late-body', 'late'), 'late.');
  assert.strictEqual(await post('/empty'), 'nothing');
  assert.strictEqual(await text(port, '/echo'), '');
});

routed('bodies of answers', async (port, it) => {
  const { headers, text } = await ask(port, '/chunks');
  assert.deepStrictEqual([headers['transfer-encoding'], text], ['chunked', 'one,two,three,four,five']);
  await it.line('wrote');
  await it.line('ended');
  const fixed = await ask(port, '/length');
  assert.deepStrictEqual([fixed.headers['content-length'], fixed.text], ['10', '0123456789']);
  assert.strictEqual((await ask(port, '/echo', { method: 'POST', body: 'abc' })).headers['content-length'], '3');
  const old = await raw(port, 'GET /chunks HTTP/1.0\r\n\r\n');
  assert.match(old, /^HTTP\/1\.1 200 OK\r\n[^]*\r\n\r\none,two,three,four,five$/);
  assert.match(old, /\r\nConnection: close\r\n/i);
});

routed('an answer that is bigger than what may wait', async (port) => {
  const { bytes } = await ask(port, '/big');
  assert.strictEqual(bytes.length, 20000004);
  assert.strictEqual(bytes.subarray(20000000).toString(), 'true');
});

routed('HEAD, 204, 304 and unknown statuses', async (port) => {
  const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
  const head = await ask(port, '/hello', { method: 'HEAD', agent });
  assert.deepStrictEqual([head.status, head.text], [200, '']);
  for (const [status, message, body] of [[204, 'No Content', ''], [304, 'Not Modified', ''], [201, 'Created', 'x'],
    [299, 'unknown', 'x'], [418, 'I\'m a Teapot', 'x'], [500, 'Internal Server Error', 'x']]) {
    const answer = await ask(port, '/status', { agent, headers: { 'x-status': `${status}`, 'x-body': 'x' } });
    assert.deepStrictEqual([answer.status, answer.message, answer.text], [status, message, body]);
  }
  agent.destroy();
});

routed('a connection is kept for the next request', async (port) => {
  const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
  const ports = new Set();
  for (const path of ['/hello', '/echo', '/chunks', '/later', '/empty']) {
    const { from } = await ask(port, path, { agent, ...(path === '/echo' && { method: 'POST', body: path }) });
    ports.add(from);
  }
  assert.strictEqual(ports.size, 1);
  agent.destroy();
  const two = await raw(port, 'GET /later HTTP/1.1\r\nHost: x\r\n\r\n' +
    'GET /hello HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n');
  assert.match(two, /^HTTP\/1\.1 200 OK\r\n[^]*\r\n\r\nlaterHTTP\/1\.1 200 OK\r\n[^]*hello world\n/);
});

routed('answers that come later', async (port) => {
  assert.strictEqual(await text(port, '/later'), 'later');
  assert.strictEqual(await text(port, '/promise'), 'promise');
});

routed('events of a request and its answer', async (port, it) => {
  await ask(port, '/events');
  await it.line('request close');
  assert.deepStrictEqual(it.lines().slice(1).sort(), ['close', 'finish true', 'request close', 'request end']);
});

routed('a client that goes away', async (port, it) => {
  const socket = net.connect(port, '127.0.0.1', () => socket.write('GET /hang HTTP/1.1\r\nHost: x\r\n\r\n'));
  await it.line('hanging');
  socket.destroy();
  await it.line('gone false');
  assert.ok(!it.lines().includes('finish'));
  const other = net.connect(port, '127.0.0.1', () => other.write('GET /endless HTTP/1.1\r\nHost: x\r\n\r\n'));
  await once(other, 'data');
  it.out = '';
  other.destroy();
  await it.line('gone false');
  assert.strictEqual(await text(port, '/hello'), 'hello world\n');
});

routed('write() and end() after end(), and destroy()', async (port, it) => {
  assert.strictEqual(await text(port, '/after-end'), 'done');
  await it.line('error ERR_STREAM_WRITE_AFTER_END');
  assert.deepStrictEqual(it.lines().slice(1, 3), ['false', 'callback ERR_STREAM_WRITE_AFTER_END']);
  await assert.rejects(ask(port, '/destroy'), { code: 'ECONNRESET' });
});

for (const [path, error] of [['/throw', 'uncaught boom'], ['/reject', 'unhandled boom']]) {
  test(`a listener that fails: ${path}`, async (program) => {
    const lost = await serve(program);
    await assert.rejects(ask(lost.port, path), { code: 'ECONNRESET' });
    assert.strictEqual(await lost.end, 1);
    assert.match(lost.err, /Error: boom\n {4}at /);
    const kept = await serve(program, '--survive');
    const request = http.get({ port: kept.port, path, host: '127.0.0.1' });
    request.on('error', () => {});
    await kept.line(error);
    assert.strictEqual(await text(kept.port, '/hello'), 'hello world\n');
    request.destroy();
    kept.child.kill('SIGKILL');
    await kept.end;
  });
}

test('process.exit() in a listener', async (program) => {
  const it = await serve(program);
  await assert.rejects(ask(it.port, '/exit'), { code: 'ECONNRESET' });
  assert.strictEqual(await it.end, 7);
});

// Node 18 leaves idle connections open when a server closes; later ones do as we do.
ours('close() ends what is idle, finishes what is in flight, and lets the process end', async (program) => {
  const it = await serve(program);
  const idle = net.connect(it.port, '127.0.0.1');
  await once(idle, 'connect');
  const agent = new http.Agent({ keepAlive: true });
  await ask(it.port, '/hello', { agent });
  const waited = ask(it.port, '/wait', { agent });
  await it.line('waiting');
  const closing = ask(it.port, '/close', { agent });
  await it.line('false null');
  await assert.rejects(ask(it.port, '/hello'), { code: 'ECONNREFUSED' });
  assert.strictEqual((await waited).text, 'waited');
  const last = await closing;
  assert.deepStrictEqual([last.text, last.headers.connection], ['closing', 'close']);
  assert.strictEqual(await it.end, 0);
  assert.deepStrictEqual([it.lines().pop(), it.err], ['closed', '']);
  agent.destroy();
});

test('two servers, an address in use, any address, unref()', async (program) => {
  const it = await inline(program, `
    const http = require('http');
    const a = http.createServer((q, r) => r.end('a')), b = new http.Server();
    b.on('request', (q, r) => r.end('b', () => setTimeout(() => { a.close(); b.close(); })));
    a.listen({ port: 0, host: '127.0.0.1' }, function () {
      const { port } = this.address();
      http.createServer().on('error', ({ message, code, errno, syscall, address, port: p }) => {
        console.log(message === 'listen EADDRINUSE: address already in use 127.0.0.1:' + port, code, errno, syscall,
          address, p === port);
        b.listen(() => console.log('ports', port, b.address().port));
      }).listen(port, '127.0.0.1');
      const c = http.createServer().listen();
      c.unref();
      c.on('listening', () => console.log(c.address().address, c.address().family));
    });
  `);
  assert.strictEqual(await text(it.ports[0], '/'), 'a');
  assert.strictEqual(await text(it.ports[1], '/'), 'b');
  assert.strictEqual(await it.end, 0);
  assert.ok(it.lines().includes('true EADDRINUSE -98 listen 127.0.0.1 true'), it.out);
  assert.ok(it.lines().some((line) => line === ':: IPv6' || line === '0.0.0.0 IPv4'), it.out);
});

test('what is wrong is said with Node\'s codes', async (program) => {
  const it = start(program, path.join(__dirname, 'http', 'errors.js'));
  assert.strictEqual(await it.end, 0, it.err);
  assert.strictEqual(it.out, 'done\n');
});

ours('there is no client', async (program) => {
  const it = start(program, '-e', `
    const http = require('http');
    for (const name of ['request', 'get']) {
      try { http[name]('http://127.0.0.1/'); } catch (error) { console.log(error.code, error.message); }
    }`);
  assert.strictEqual(await it.end, 0);
  for (const line of it.lines()) assert.match(line, /^ERR_METHOD_NOT_IMPLEMENTED http\.\w+\(\) is not implemented/);
  assert.strictEqual(it.lines().length, 2);
});

routed('a body that is too big', async (port, it) => {
  const body = Buffer.alloc(MiB, 'x');
  const all = (count) => Array(count).fill(body);
  assert.strictEqual(await text(port, '/iterate', { method: 'POST', body: all(16) }), `${16 * MiB}`);
  for (const headers of [{}, { 'Content-Length': 17 * MiB }]) {
    const { status, text } = await ask(port, '/iterate', { method: 'POST', body: all(17), headers });
    assert.strictEqual(status, 413);
    assert.match(text, /over 16777216 bytes/);
  }
  const asking = await raw(port,
    `POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: ${17 * MiB}\r\n\r\n`);
  assert.match(asking, /^HTTP\/1\.1 413 /);
}, ours);

routed('bad input is refused, and nothing breaks', async (port) => {
  const smuggled = 'GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n';
  for (const head of [
    'Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
    'Content-Length: 1\r\nContent-Length: 2\r\n\r\nab',
    'Content-Length: +1\r\n\r\na', 'Content-Length : 3\r\n\r\nabc', 'Transfer-Encoding: gzip\r\n\r\n', 'a b: x\r\n\r\n',
  ]) {
    const back = await raw(port, `POST /hello HTTP/1.1\r\nHost: x\r\n${head}${smuggled}`);
    assert.match(back, /^HTTP\/1\.1 400 /, head);
    assert.doesNotMatch(back, /HTTP\/1\.1 [^4]/, head); // libmicrohttpd may say it twice
  }
  assert.match(await raw(port, 'NOSUCH / HTTP/1.1\r\nHost: x\r\n\r\n'), /^HTTP\/1\.1 400 [^]*\r\nConnection: close/i);
  assert.match(await raw(port, `GET /${'x'.repeat(100000)} HTTP/1.1\r\n\r\n`), /^(HTTP\/1\.1 4|$)/);
  assert.match(await raw(port, `GET / HTTP/1.1\r\nX: ${'x'.repeat(100000)}\r\n\r\n`), /^(HTTP\/1\.1 4|$)/);
  let seed = 1;
  const random = (below) => (seed = (seed * 48271) % 2147483647) % below;
  const base = 'POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n' +
    '5\r\nabcde\r\n0\r\n\r\n';
  await Promise.all(Array.from({ length: 200 }, () => {
    const bytes = [...base];
    for (let i = 0; i <= random(4); i++) bytes[random(bytes.length)] = String.fromCharCode(random(256));
    return new Promise((resolve) => {
      const cut = bytes.join('').slice(0, 1 + random(200));
      const socket = net.connect(port, '127.0.0.1', () => socket.end(cut, 'latin1'));
      socket.resume().on('error', () => {}).on('close', resolve);
    });
  }));
  assert.strictEqual(await text(port, '/hello'), 'hello world\n');
}, ours);

routed('100 requests at once', async (port) => {
  const paths = ['/hello', '/later', '/chunks', '/promise', '/echo'];
  const wanted = ['hello world\n', 'later', 'one,two,three,four,five', 'promise', 'body'];
  const texts = await Promise.all(Array.from({ length: 100 }, (_, i) =>
    text(port, paths[i % 5], i % 5 === 4 ? { method: 'POST', body: 'body' } : {})));
  texts.forEach((text, i) => assert.strictEqual(text, wanted[i % 5]));
});

routed('1,000 requests one after another, with flat memory', async (port, it) => {
  const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
  const body = Buffer.alloc(100000, 'x');
  const round = async (count) => {
    for (let i = 0; i < count; i++) {
      const { bytes } = await ask(port, i % 2 ? '/echo' : '/length', { agent, method: 'POST', body });
      assert.strictEqual(bytes.length, i % 2 ? body.length : 10);
    }
  };
  await round(1000);
  const before = rss(it.pid);
  await round(1000);
  const grown = rss(it.pid) - before;
  agent.destroy();
  assert.ok(sanitized || grown < 24 * MiB, `it grew by ${grown} bytes`);
  assert.ok(fs.readdirSync(`/proc/${it.pid}/fd`).length < 30);
}, ours);

// ---- running them --------------------------------------------------------------------------------

async function main() {
  let failures = 0, count = 0;
  for (const { name, run, programs } of tests) {
    if (only.length > 0 && !only.some((word) => name.includes(word))) continue;
    for (const program of programs) {
      const who = program === kiln ? '' : ' (Node)';
      count++;
      let timer;
      const late = new Promise((_, reject) => {
        timer = setTimeout(reject, 60000, new Error('it takes more than a minute'));
      });
      try {
        await Promise.race([run(program), late]);
        console.log(`ok ${name}${who}`);
      } catch (error) {
        failures++;
        console.log(`not ok ${name}${who}\n${error.stack}`);
      }
      clearTimeout(timer);
      for (const child of running) child.kill('SIGKILL');
    }
  }
  console.log(`${Math.floor((100 * (count - failures)) / count)}%: Checks: ${count}, Failures: ${failures}, Errors: 0`);
  process.exit(failures > 0 || count === 0 ? 1 : 0);
}

main();
