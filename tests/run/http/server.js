// SPDX-License-Identifier: MIT
//
// A server for tests/run/http.js. Prints its port; what its requests and answers emit goes to standard output, too.
'use strict';

const assert = require('assert');
const http = require('node:http');

assert.strictEqual(http, require('http'));

const waiting = [];
const log = (...words) => console.log(words.map(String).join(' '));

const routes = {
  '/hello': (request, response) => {
    response.writeHead(200, { 'Content-Type': 'text/plain' });
    response.end('hello world\n');
  },
  '/head': (request, response) => {
    assert.strictEqual(response.headersSent, false);
    response.setHeader('X-One', 1);
    response.setHeader('Set-Cookie', ['a=1', 'b=2']);
    response.setHeader('X-Gone', 'x');
    response.removeHeader('x-gone');
    assert.strictEqual(response.getHeader('x-ONE'), 1);
    assert.strictEqual(response.hasHeader('X-gone'), false);
    assert.deepStrictEqual({ ...response.getHeaders() }, { 'x-one': 1, 'set-cookie': ['a=1', 'b=2'] });
    response.writeHead(203, 'Quite So', { 'X-Two': 'tw\u00f6', 'X-Empty': '', 'X-One': 'one' });
    assert.strictEqual(response.headersSent, true);
    assert.strictEqual(response.statusMessage, 'Quite So');
    assert.throws(() => response.setHeader('a', 'b'), { code: 'ERR_HTTP_HEADERS_SENT' });
    assert.throws(() => response.writeHead(200), { code: 'ERR_HTTP_HEADERS_SENT' });
    response.end();
    assert.strictEqual(response.writableEnded, true);
  },
  '/request': (request, response) => {
    assert.strictEqual(request.socket.remoteAddress.replace('::ffff:', ''), '127.0.0.1');
    assert.ok(request.socket.remotePort > 0);
    const { method, url, httpVersion, headers, rawHeaders } = request;
    response.end(JSON.stringify({ method, url, httpVersion, headers, rawHeaders }));
  },
  '/echo': (request, response) => {
    const chunks = [];
    request.on('data', (chunk) => chunks.push(chunk));
    request.on('end', () => {
      assert.ok(chunks.every(Buffer.isBuffer));
      response.setHeader('X-Complete', String(request.complete));
      response.end(Buffer.concat(chunks));
    });
  },
  '/text': (request, response) => {
    let text = '';
    request.setEncoding('utf8');
    request.on('data', (chunk) => { text += chunk; }).on('end', () => response.end(text.toUpperCase()));
  },
  '/iterate': async (request, response) => {
    let length = 0;
    for await (const chunk of request) length += chunk.length;
    response.end(`${length}`);
  },
  '/pipe': (request, response) => request.pipe(response),
  '/late-body': (request, response) => {
    setTimeout(() => request.on('data', (chunk) => response.write(chunk)).on('end', () => response.end('.')), 20);
  },
  '/empty': (request, response) => {
    request.on('data', () => assert.fail('no data')).on('end', () => response.end('nothing'));
  },
  '/chunks': (request, response) => {
    response.write('one,');
    response.write(Buffer.from('two,'));
    response.write('dGhyZWUs', 'base64');
    setTimeout(() => {
      response.write('four,', () => log('wrote'));
      setImmediate(() => response.end('five', () => log('ended')));
    }, 20);
  },
  '/length': (request, response) => {
    response.setHeader('Content-Length', 10);
    response.write('01234');
    setImmediate(() => response.end('56789'));
  },
  '/big': (request, response) => {
    const block = Buffer.alloc(100000, 'b');
    let left = 200, waits = 0;
    const more = () => {
      while (left > 0) {
        left--;
        if (!response.write(block)) {
          waits++;
          response.once('drain', more);
          return;
        }
      }
      response.end(`${waits > 50}`);
    };
    more();
  },
  '/later': (request, response) => setTimeout(() => response.end('later'), 30),
  '/promise': async (request, response) => {
    await null;
    process.nextTick(() => response.end('promise'));
  },
  '/status': (request, response) => {
    response.statusCode = Number(request.headers['x-status']);
    response.end(request.headers['x-body']);
  },
  '/events': (request, response) => {
    request.on('end', () => log('request end')).on('close', () => log('request close'));
    response.on('finish', () => log('finish', response.writableFinished)).on('close', () => log('close'));
    response.end('x');
  },
  '/hang': (request, response) => {
    log('hanging');
    response.on('finish', () => log('finish')).on('close', () => log('gone', response.writableEnded));
  },
  '/endless': (request, response) => {
    response.on('close', () => log('gone', response.writableEnded));
    response.write('begin');
  },
  '/after-end': (request, response) => {
    response.on('error', (error) => log('error', error.code));
    response.end('done');
    log(response.write('more', (error) => log('callback', error.code)));
    response.end();
  },
  '/destroy': (request, response) => response.destroy(),
  '/wait': (request, response) => {
    waiting.push(response);
    log('waiting');
  },
  '/throw': () => { throw new Error('boom'); },
  '/reject': async () => { throw new Error('boom'); },
  '/exit': () => process.exit(7),
  '/close': (request, response) => {
    server.close(() => log('closed'));
    log(server.listening, server.address());
    setTimeout(() => {
      for (const one of waiting) one.end('waited');
      response.end('closing');
    }, 30);
  },
};

const server = http.createServer((request, response) => {
  const route = routes[request.url.split('?')[0]];
  if (route !== undefined) return route(request, response);
  response.writeHead(404).end('no such route');
});
assert.strictEqual(server.address(), null);
server.on('listening', () => {
  const { address, family, port } = server.address();
  assert.deepStrictEqual([address, family, server.listening], ['127.0.0.1', 'IPv4', true]);
  log('port', port);
});
assert.strictEqual(server.listen(0, '127.0.0.1'), server);

if (process.argv.includes('--survive')) {
  process.on('uncaughtException', (error) => log('uncaught', error.message));
  process.on('unhandledRejection', (error) => log('unhandled', error.message));
}
