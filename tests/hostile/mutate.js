// SPDX-License-Identifier: MIT
//
// node mutate.js KILND ENGINE-PROGRAM [--count N] [--seed N] [--at-once N]
//
// Sends requests that have been changed at random, each on a connection of its own, and looks only at this: whatever
// comes back is HTTP with a status it may have, the next honest request is answered right, and kilnd ends well, without a
// word from a sanitizer. Meant for a kilnd with sanitizers; the seed is printed.
'use strict';

const net = require('net');
const { Kilnd } = require('../kilnd.js');
const { ask } = require('./client.js');

const wanted = { count: 5000, seed: Date.now() % 1e6, 'at-once': 64 };
const [kilndProgram, engineProgram, ...rest] = process.argv.slice(2);
for (let i = 0; i < rest.length; i += 2) {
  if (!(rest[i].slice(2) in wanted)) throw new Error(`'${rest[i]}': unknown option`);
  wanted[rest[i].slice(2)] = Number(rest[i + 1]);
}

let state = wanted.seed + 1; // mulberry32
function random(below) {
  state = (state + 0x6d2b79f5) | 0;
  let t = Math.imul(state ^ (state >>> 15), 1 | state);
  t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
  return ((t ^ (t >>> 14)) >>> 0) % below;
}
const choose = (list) => list[random(list.length)];

const HOST = 'Host: localhost\r\n';
function post(target, type, body, more = '') {
  return `POST ${target} HTTP/1.1\r\n${HOST}Content-Type: ${type}\r\nContent-Length: ${Buffer.byteLength(body)}\r\n${more}\r\n${body}`;
}
const chunked = (target, type, pieces) => `POST ${target} HTTP/1.1\r\n${HOST}Content-Type: ${type}\r\nTransfer-Encoding: chunked\r\n\r\n${pieces.map((piece) => `${piece.length.toString(16)}\r\n${piece}\r\n`).join('')}0\r\n\r\n`;
const KEY = 'c0ffee'.repeat(10) + 'beef';

const SEEDS = [
  `GET /healthz HTTP/1.1\r\n${HOST}\r\n`,
  `GET /v1/stats?a=b HTTP/1.1\r\n${HOST}Accept: */*\r\nConnection: close\r\n\r\n`,
  `GET /v1/engines HTTP/1.1\r\n${HOST}User-Agent: x\r\n\r\n`,
  `HEAD /v1/cachedData/${KEY} HTTP/1.1\r\n${HOST}\r\n`,
  `GET /v1/cachedData/${KEY} HTTP/1.1\r\n${HOST}Range: bytes=0-99,200-\r\nIf-Range: "abc"\r\nIf-None-Match: W/"a", "b"\r\n\r\n`,
  `GET http://127.0.0.1:8888/v1/explain?key=${KEY}&engine=node-18 HTTP/1.1\r\n${HOST}\r\n`,
  `OPTIONS * HTTP/1.1\r\n${HOST}\r\n`,
  post('/v1/run', 'text/javascript', '6*7'),
  post('/v1/run?timeout=50&filename=a%20b.js&kind=function&lineOffset=3', 'application/javascript; charset=utf-8', 'return 1'),
  post('/v1/run', 'application/json', '{"source":"a+b","globals":{"a":1,"b":[true,null,1.5e3,"x\\u00e9"]},"timeout":50,"contextName":"n","microtaskMode":"afterEvaluate","contextCodeGeneration":{"strings":false}}'),
  post('/v1/run', 'application/json', '{"source":"import a from \'m\'; a","kind":"module","modules":{"m":"export default 1"},"timeout":50}'),
  post('/v1/run', 'application/json', '{"source":"return a","kind":"function","params":["a"],"args":[[1,{"x":"\\ud83d\\ude00"}]]}'),
  post('/v1/run', 'application/json', `{"key":"${KEY}"}`),
  post('/v1/createCachedData?filename=x.js&mode=eager', 'text/javascript', 'function f(){return 1}', 'Expect: 100-continue\r\n'),
  post('/v1/compile', 'application/json', '{"source":"1","mode":"workload","workload":"2","columnOffset":-3}'),
  post('/v1/measureMemory', 'application/json', '{"mode":"detailed","execution":"eager","contexts":[{"name":"a","globals":{"x":[1]},"scripts":[{"source":"var y=1","filename":"f"}]}]}'),
  post('/v1/explain?filename=x.js', 'text/javascript', 'function f(){return 1}'),
  chunked('/v1/run', 'text/javascript', ['6', '*', '7']),
  chunked('/v1/compile?mode=warm', 'application/json', ['{"source":', '"1"', '}']),
];

const TOKENS = ['\r\n', '\n', '\r', '\0', ' ', '\t', ':', ';', ',', '%', '%00', '%2f', '%ff', '+', '&', '=', '?', '#', '"', '\\', '\\u0000', '\\ud800', '{', '}', '[', ']', '[[[[[[[[', '-1', '0', '1e999', '99999999999999999999',
  '18446744073709551615', '4294967296', '0x1', 'NaN', 'null', 'true', 'chunked', 'gzip', 'identity', 'Content-Length: 0\r\n', 'Content-Length: 5\r\n', 'Transfer-Encoding: chunked\r\n', 'Host: evil\r\n', 'Expect: 100-continue\r\n',
  'Connection: close\r\n', 'Connection: keep-alive, upgrade\r\n', 'HTTP/1.0', 'HTTP/2', '\xff\xfe', '\xc0\xaf', '\xed\xa0\x80', '\xf4\x90\x80\x80', '\xe2\x82', 'A'.repeat(300), '0\r\n\r\n', 'ffffffffffffffff\r\n', ';x=y', '..', '/', '//', 'bytes=', '-', 'W/', '"__proto__":', '"source":'];

const MUTATIONS = [
  (text, at) => text.slice(0, at) + String.fromCharCode(random(256)) + text.slice(at + 1),
  (text, at) => text.slice(0, at) + String.fromCharCode(text.charCodeAt(at) ^ (1 << random(8))) + text.slice(at + 1),
  (text, at) => text.slice(0, at) + text.slice(at + 1 + random(8)),
  (text, at) => text.slice(0, at),
  (text, at) => text.slice(0, at) + choose(TOKENS) + text.slice(at),
  (text, at) => text.slice(0, at) + choose(TOKENS) + text.slice(at + 1 + random(6)),
  (text, at) => text.slice(0, at) + text.slice(at, at + 1 + random(40)).repeat(1 + random(20)) + text.slice(at),
  (text, at) => text.slice(0, at) + choose(SEEDS).slice(random(60)),
  (text) => text + choose(SEEDS),
  (text) => text.replace(/\d+/, () => choose(TOKENS)),
  (text) => {
    const lines = text.split('\r\n');
    lines.splice(random(lines.length), 0, choose(lines), ...(random(3) ? [] : [choose(lines)]));
    return lines.join('\r\n');
  },
];

// A request that is well-formed but for its target or its body, so that the mutation gets beyond the head.
function mutateInside() {
  const [head, body] = choose(SEEDS.slice(7, 17)).split('\r\n\r\n');
  const [, target, type] = /^POST (\S+) [^]*Content-Type: ([^\r]*)/.exec(head);
  const change = (text) => choose(MUTATIONS.slice(0, 7))(text, random(Math.max(text.length, 1)));
  if (random(4) === 0) return post(change(target).replace(/[\s\0-\x1f]/g, ''), type, body);
  return post(target, type, random(3) ? change(body) : change(change(body)));
}

function mutate() {
  if (random(5) < 2) {
    const text = mutateInside();
    // Lengths are of bytes.
    const [head, ...rest] = text.split('\r\n\r\n');
    const body = Buffer.from(rest.join('\r\n\r\n'), 'latin1');
    return Buffer.concat([Buffer.from(`${head.replace(/Content-Length: \d+/, `Content-Length: ${body.length}`)}\r\n\r\n`, 'latin1'), body]);
  }
  let text = choose(SEEDS);
  for (let i = 1 + random(4); i > 0; i--) text = choose(MUTATIONS)(text, random(Math.max(text.length, 1)));
  return Buffer.from(text, 'latin1');
}

const STATUSES = new Set([100, 200, 206, 304, 400, 404, 405, 408, 411, 413, 414, 415, 416, 417, 421, 422, 431, 500, 501, 503, 505]);
const counts = {};
const problems = [];

// Sends the bytes, perhaps in two pieces, and hears what comes until the end or a moment after the last of it.
function send(port, bytes) {
  return new Promise((resolve) => {
    const socket = net.connect({ host: '127.0.0.1', port });
    let text = '';
    let timer = null;
    const finish = () => {
      clearTimeout(timer);
      socket.destroy();
      resolve(text);
    };
    timer = setTimeout(finish, 5000);
    socket.on('data', (data) => {
      text += data.toString('latin1');
      clearTimeout(timer);
      timer = setTimeout(finish, 3);
    });
    socket.on('end', finish);
    socket.on('close', finish);
    socket.on('error', finish);
    socket.on('connect', () => {
      const cut = random(4) === 0 ? random(bytes.length + 1) : bytes.length;
      socket.write(bytes.subarray(0, cut));
      setImmediate(() => {
        if (cut < bytes.length) socket.write(bytes.subarray(cut));
        const end = random(3);
        if (end === 0) socket.end();
        else if (end === 1 && random(8) === 0) socket.resetAndDestroy();
      });
    });
  });
}

function check(bytes, text) {
  if (text === '') {
    counts.none = (counts.none || 0) + 1;
    return;
  }
  const found = /^HTTP\/1\.[01] (\d{3}) /.exec(text);
  const status = found ? Number(found[1]) : 0;
  counts[status] = (counts[status] || 0) + 1;
  // libmicrohttpd's own 500 is an answer to chunks without end; ours have a code.
  const fault = status === 500 && !text.includes('libmicrohttpd');
  if (!STATUSES.has(status) || fault) problems.push(`${JSON.stringify(bytes.toString('latin1'))}: ${text.slice(0, 300)}`);
}

async function main() {
  console.log(`seed ${wanted.seed}, ${wanted.count} requests`);
  const kilnd = await Kilnd.start(kilndProgram, engineProgram, ['--workers', '2', '--queue', '64', '--timeout-default', '200', '--timeout-max', '300', '--body-max', '1M',
    '--header-timeout-ms', '150', '--body-timeout-ms', '150', '--idle-timeout-ms', '300', '--allow-unsandboxed']);
  const started = Date.now();
  let sent = 0;
  let honest = 0;
  async function one() {
    while (sent < wanted.count && kilnd.alive && problems.length < 20) {
      const bytes = mutate();
      const number = ++sent;
      if (number % 200 === 0) {
        try {
          const got = await ask(kilnd.port, { method: 'POST', target: '/v1/run?timeout=300', type: 'text/javascript', body: `${number}+1` });
          const busy = got.status === 503 || /time_limit/.test(got.body);
          if (!busy && JSON.parse(got.body).result !== number + 1) problems.push(`an honest request got ${got.status} ${got.body.slice(0, 300)}`);
          honest++;
        } catch (error) {
          problems.push(`an honest request: ${error.message}`);
        }
      }
      check(bytes, await send(kilnd.port, bytes));
    }
  }
  await Promise.all(Array.from({ length: wanted['at-once'] }, one));
  if (!kilnd.alive) problems.push('kilnd has ended');
  const ended = await kilnd.stop();
  if (ended !== 0) problems.push(`kilnd ended with ${ended}`);
  if (/Sanitizer|runtime error:/.test(kilnd.log)) problems.push(`a sanitizer's report:\n${kilnd.log.slice(0, 6000)}`);
  console.log(`${sent} requests, ${honest} honest ones between, ${((Date.now() - started) / 1000).toFixed(1)} s; answers: ${JSON.stringify(counts)}`);
  for (const problem of problems) console.log(`not ok ${problem}`);
  console.log(`${problems.length === 0 ? 100 : 99}%: Checks: ${sent}, Failures: ${problems.length}, Errors: 0`);
  process.exitCode = problems.length === 0 && sent >= wanted.count ? 0 : 1;
}
main();
