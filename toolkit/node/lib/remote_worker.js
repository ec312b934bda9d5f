// SPDX-License-Identifier: MIT
//
// The thread that asks kilnd for remote.js: one request at a time, over one connection.
'use strict';

const http = require('http');
const { workerData } = require('worker_threads');

const { url, signal, port, bodyMax, ms } = workerData;
const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });

function answer(message) {
  port.postMessage(message);
  Atomics.store(signal, 0, 1);
  Atomics.notify(signal, 0);
}

port.on('message', ({ method, target, body }) => {
  let done = false;
  const once = (message) => {
    if (!done) answer(message);
    done = true;
  };
  const request = http.request(new URL(target, url), {
    agent, method, headers: body === undefined ? {} : { 'Content-Type': 'text/javascript', 'Content-Length': body.length },
  }, (response) => {
    const parts = [];
    let length = 0;
    response.on('data', (part) => {
      parts.push(part);
      length += part.length;
      if (length > bodyMax) request.destroy(new Error(`answer larger than ${bodyMax} bytes`));
    });
    response.on('end', () => once({
      status: response.statusCode, headers: response.headers, bytes: new Uint8Array(Buffer.concat(parts)),
    }));
    response.on('error', (error) => once({ error: error.message }));
  });
  const timer = setTimeout(() => request.destroy(new Error(`no answer within ${ms} ms`)), ms);
  request.on('error', (error) => once({ error: error.message || error.code }));
  request.on('close', () => clearTimeout(timer));
  request.end(body);
});
