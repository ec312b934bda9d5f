// SPDX-License-Identifier: MIT
//
// KILN_URL=http://host:port: code caches from kilnd. The one way of the loader that uses the network while a program
// starts; for that a worker thread asks and this thread waits. What comes is used once and kept nowhere. One failure of
// any kind, and the rest of the program is loaded without.
'use strict';

const path = require('path');
const fs = require('fs');
const { MessageChannel, Worker, receiveMessageOnPort } = require('worker_threads');

const ANSWER_MS = 5000;

module.exports = ({ BLOB_MAX, COLUMN_OFFSET, HEAD_LENGTH, LINE_OFFSET, LOSES_IMPORT, SOURCE_MAX, buildId, compileWith,
  debug, env, install, otherEngine, sha256, textOf }) => {
  const url = new URL(env.KILN_URL);
  if (url.protocol !== 'http:') throw new Error(`KILN_URL '${env.KILN_URL}': only http`);
  const signal = new Int32Array(new SharedArrayBuffer(4));
  const { port1, port2 } = new MessageChannel();
  const worker = new Worker(path.join(__dirname, 'remote_worker.js'), {
    env: {}, execArgv: [], workerData: { url: url.href, signal, port: port2, bodyMax: BLOB_MAX, ms: ANSWER_MS },
    transferList: [port2],
  });
  worker.unref();
  worker.on('error', () => {});
  port1.unref();

  let gone = '';
  const fail = (why) => {
    gone = `'${url.host}': ${why}`;
    void worker.terminate();
    throw new Error(gone);
  };
  const ask = (method, target, body) => {
    if (gone !== '') throw new Error(gone);
    Atomics.store(signal, 0, 0);
    port1.postMessage({ method, target, body });
    if (Atomics.wait(signal, 0, 0, ANSWER_MS + 1000) === 'timed-out') fail(`no answer within ${ANSWER_MS + 1000} ms`);
    const received = receiveMessageOnPort(port1);
    const { error, status, headers, bytes } = received === undefined ? { error: 'no answer' } : received.message;
    if (error !== undefined) fail(error);
    return { status, headers, bytes: Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength) };
  };

  let engine;
  const findEngine = () => {
    const { status, bytes } = ask('GET', '/v1/engines');
    if (status !== 200) fail(`status ${status} for its engines`);
    const answer = JSON.parse(bytes.utf8Slice());
    const id = buildId();
    const engines = Array.isArray(answer) ? answer : answer.engines;
    engine = engines.find((one) => one.buildId === id && otherEngine({ arch: process.arch, ...one }, id) === null);
    if (engine === undefined) fail('none of its engines is this node');
    if (debug !== null) debug.say(`'${url.host}': engine ${engine.name}`);
  };

  const compile = (filename) => {
    if (engine === undefined) findEngine();
    const source = fs.readFileSync(filename);
    if (source.length > SOURCE_MAX) return null;
    const bytes = Buffer.allocUnsafeSlow(HEAD_LENGTH + source.length + 4);
    source.copy(bytes, HEAD_LENGTH);
    const text = textOf(bytes, bytes.subarray(HEAD_LENGTH, HEAD_LENGTH + source.length), true, LINE_OFFSET);
    if (LOSES_IMPORT && require('./dynamic_import.js')(text)) {
      if (debug !== null) debug.rejected(filename, 'it may call import(), which this V8 loses in cached code');
      return null;
    }
    const query = new URLSearchParams({ kind: 'script', engine: engine.fingerprint || engine.name, filename,
      lineOffset: LINE_OFFSET, columnOffset: COLUMN_OFFSET });
    const { status, headers, bytes: blob } = ask('POST', `/v1/createCachedData?${query}`, Buffer.from(text));
    if (status !== 200 || blob.length === 0 || !headers['kiln-key']) {
      if (debug !== null) debug.rejected(filename, `'${url.host}': status ${status}`);
      return null;
    }
    if (headers['kiln-sha256'] !== sha256(blob)) fail('sha256 of a blob is not what was said, if anything');
    return compileWith(filename, 'wrapper', text, LINE_OFFSET, COLUMN_OFFSET, blob);
  };
  install({ compile });
};
