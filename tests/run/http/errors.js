// SPDX-License-Identifier: MIT
//
// Wrong arguments of node:http, for tests/run/http.js: kiln run and Node say the same.
'use strict';

const assert = require('assert');
const http = require('http');

function throws(fn, Class, code, message) {
  assert.throws(fn, (error) => {
    assert.ok(error instanceof Class, `${error}`);
    assert.deepStrictEqual([error.code, error.message], [code, message]);
    return true;
  });
}

const server = http.createServer();
for (const [args, Class, code, message] of [
  [[70000], RangeError, 'ERR_SOCKET_BAD_PORT',
    'options.port should be >= 0 and < 65536. Received type number (70000).'],
  [[-1], RangeError, 'ERR_SOCKET_BAD_PORT', 'options.port should be >= 0 and < 65536. Received type number (-1).'],
  [[{ port: 'abc' }], RangeError, 'ERR_SOCKET_BAD_PORT',
    'options.port should be >= 0 and < 65536. Received type string (\'abc\').'],
  [[{}], TypeError, 'ERR_INVALID_ARG_VALUE',
    'The argument \'options\' must have the property "port" or "path". Received {}'],
  [[true], TypeError, 'ERR_INVALID_ARG_VALUE', 'The argument \'options\' is invalid. Received { port: true }'],
]) throws(() => server.listen(...args), Class, code, message);
throws(() => http.createServer('x'), TypeError, 'ERR_INVALID_ARG_TYPE',
  'The "options" argument must be of type object. Received type string (\'x\')');

const response = new http.ServerResponse({ method: 'GET', httpVersionMajor: 1, httpVersionMinor: 1, headers: {} });
for (const [method, args, Class, code, message] of [
  ['setHeader', ['a b', '1'], TypeError, 'ERR_INVALID_HTTP_TOKEN', 'Header name must be a valid HTTP token ["a b"]'],
  ['setHeader', [1, 'x'], TypeError, 'ERR_INVALID_HTTP_TOKEN', 'Header name must be a valid HTTP token ["1"]'],
  ['setHeader', ['a'], TypeError, 'ERR_HTTP_INVALID_HEADER_VALUE', 'Invalid value "undefined" for header "a"'],
  ['setHeader', ['a', '\n'], TypeError, 'ERR_INVALID_CHAR', 'Invalid character in header content ["a"]'],
  ['setHeader', ['a', '\u0100'], TypeError, 'ERR_INVALID_CHAR', 'Invalid character in header content ["a"]'],
  ['setHeader', ['a', ['b', '\r']], TypeError, 'ERR_INVALID_CHAR', 'Invalid character in header content ["a"]'],
  ['getHeader', [1], TypeError, 'ERR_INVALID_ARG_TYPE',
    'The "name" argument must be of type string. Received type number (1)'],
  ['hasHeader', [], TypeError, 'ERR_INVALID_ARG_TYPE',
    'The "name" argument must be of type string. Received undefined'],
  ['removeHeader', [], TypeError, 'ERR_INVALID_ARG_TYPE',
    'The "name" argument must be of type string. Received undefined'],
  ['writeHead', [99], RangeError, 'ERR_HTTP_INVALID_STATUS_CODE', 'Invalid status code: 99'],
  ['writeHead', ['abc'], RangeError, 'ERR_HTTP_INVALID_STATUS_CODE', 'Invalid status code: abc'],
  ['writeHead', [200, ['a']], TypeError, 'ERR_INVALID_ARG_VALUE',
    'The argument \'headers\' is invalid. Received [ \'a\' ]'],
  ['write', [null], TypeError, 'ERR_STREAM_NULL_VALUES', 'May not write null values to stream'],
  ['write', [5], TypeError, 'ERR_INVALID_ARG_TYPE',
    'The "chunk" argument must be of type string or an instance of Buffer or Uint8Array. Received type number (5)'],
  ['end', [{}], TypeError, 'ERR_INVALID_ARG_TYPE',
    'The "chunk" argument must be of type string or an instance of Buffer or Uint8Array. ' +
    'Received an instance of Object'],
  ['writeHead', [200, 'a\nb'], TypeError, 'ERR_INVALID_CHAR', 'Invalid character in statusMessage'],
]) throws(() => response[method](...args), Class, code, message);

assert.strictEqual(http.STATUS_CODES[404], 'Not Found');
assert.strictEqual(http.METHODS.length, 34);
assert.ok(http.METHODS.includes('M-SEARCH'));
http.validateHeaderName('X-Fine');
assert.throws(() => http.validateHeaderName(''), { code: 'ERR_INVALID_HTTP_TOKEN' });
assert.throws(() => http.validateHeaderValue('x', '\u20ac'), { code: 'ERR_INVALID_CHAR' });

assert.throws(() => http.createServer().listen(0).listen(0), { code: 'ERR_SERVER_ALREADY_LISTEN' });
server.close((error) => {
  assert.deepStrictEqual([error.code, error.message], ['ERR_SERVER_NOT_RUNNING', 'Server is not running.']);
  server.listen(0, '127.0.0.1', () => {
    server.close((error) => {
      assert.strictEqual(error, undefined);
      console.log('done');
      process.exit(0);
    });
    assert.strictEqual(server.address(), null);
  });
});
