// SPDX-License-Identifier: MIT
//
// http.js: for test scripts: a request to a kilnd, and its whole answer.
'use strict';

const http = require('http');

class Answer {
  constructor(response, bytes) {
    this.status = response.statusCode;
    this.headers = response.headers;
    this.bytes = bytes;
  }
  get text() {
    return this.bytes.toString();
  }
  json() {
    return JSON.parse(this.text);
  }
}

// Rejects if the connection ends before the answer does, or is silent for `limitMs`, if that is not 0.
function request(port, method, target, { headers, body, agent, limitMs = 0 } = {}) {
  return new Promise((resolve, reject) => {
    const sent = http.request({ host: '127.0.0.1', port, method, path: target, headers, agent }, (response) => {
      const chunks = [];
      response.on('data', (chunk) => chunks.push(chunk));
      response.on('error', reject);
      response.on('end', () => resolve(new Answer(response, Buffer.concat(chunks))));
    });
    if (limitMs > 0) sent.setTimeout(limitMs, () => sent.destroy(new Error(`no answer within ${limitMs} ms`)));
    sent.on('error', reject);
    sent.end(body);
  });
}

module.exports = { request };
