// SPDX-License-Identifier: MIT
//
// kilnd.js: for test scripts: a real kilnd on a free port, requests to it, a count of checks.
'use strict';

const assert = require('assert');
const fs = require('fs');
const http = require('http');
const os = require('os');
const path = require('path');
const { spawn } = require('child_process');

const JS = 'text/javascript';
const JSON_TYPE = 'application/json';

class Kilnd {
  // `options` are kilnd's, besides --listen, --engine-program and --store.
  static async start(program, engine, options = [], { store = true, dir } = {}) {
    const self = new Kilnd();
    self.dir = dir ?? fs.mkdtempSync(path.join(os.tmpdir(), 'kilnd-js-'));
    const args = ['--listen', '127.0.0.1:0', '--engine-program', engine, ...options];
    if (store) args.push('--store', path.join(self.dir, 'store'));
    self.child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'] });
    process.once('exit', () => self.child.kill('SIGKILL')); // a failed test leaves nobody behind
    self.log = '';
    self.child.stderr.on('data', (data) => (self.log += data));
    self.ended = new Promise((resolve) => self.child.on('close', (code, signal) => resolve(signal ?? code)));
    self.port = await new Promise((resolve, reject) => {
      let line = '';
      self.child.stdout.on('data', (data) => {
        const match = /^kilnd listening on \S+:(\d+)\n/.exec((line += data));
        if (match) resolve(Number(match[1]));
      });
      self.ended.then((status) => reject(new Error(`kilnd ended with ${status}: ${self.log}`)));
    });
    self.agent = new http.Agent({ keepAlive: true, maxSockets: 8 });
    return self;
  }

  // {status, headers, body (a Buffer), text, json()}
  // With `token` set requests that have no token of their own have that.
  ask(method, target, { headers: own = {}, body, agent = this.agent } = {}) {
    const headers = this.token ? { Authorization: `Bearer ${this.token}`, ...own } : own;
    return new Promise((resolve, reject) => {
      const request = http.request({ host: '127.0.0.1', port: this.port, method, path: target, headers, agent }, (answer) => {
        const pieces = [];
        answer.on('data', (piece) => pieces.push(piece));
        answer.on('error', reject);
        answer.on('end', () => {
          const whole = Buffer.concat(pieces);
          const text = whole.toString();
          resolve({ status: answer.statusCode, headers: answer.headers, body: whole, text, json: () => JSON.parse(text) });
        });
      });
      request.on('error', reject);
      request.end(body);
    });
  }

  post(target, body, type = JS, headers = {}) {
    const bytes = Buffer.from(typeof body === 'string' ? body : JSON.stringify(body));
    return this.ask('POST', target, { body: bytes, headers: { 'Content-Type': type, 'Content-Length': bytes.length, ...headers } });
  }

  async until(what, test) {
    for (const end = Date.now() + 20000; ; ) {
      const found = await test();
      if (found) return found;
      if (Date.now() > end) throw new Error(`${what}: not within 20 s`);
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }

  // Its exit status.
  async stop({ keep = false } = {}) {
    this.agent.destroy();
    this.child.kill('SIGTERM');
    const status = await this.ended;
    if (!keep) fs.rmSync(this.dir, { recursive: true, force: true });
    return status;
  }
}

// Runs named cases one after the other; each throws to fail. Ends the process.
async function runCases(name, cases) {
  let failed = 0;
  for (const [title, run] of Object.entries(cases)) {
    try {
      await run();
    } catch (error) {
      failed++;
      console.log(`${title}: ${error.stack}`);
    }
  }
  const count = Object.keys(cases).length;
  console.log(`${name}: ${count - failed} of ${count} cases passed`);
  process.exit(failed === 0 ? 0 : 1);
}

module.exports = { Kilnd, runCases, assert, JS, JSON: JSON_TYPE };
