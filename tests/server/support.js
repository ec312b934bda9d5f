// SPDX-License-Identifier: MIT
//
// support.js: for the scripts beside it: a kilnd and requests to it, named cases.
'use strict';

const assert = require('assert');
const base = require('../kilnd.js');
const { request } = require('../http.js');

const JS = 'text/javascript';
const JSON_TYPE = 'application/json';

class Kilnd extends base.Kilnd {
  // With `token` set requests that have no token of their own have that.
  ask(method, target, { headers: own = {}, body, agent = this.agent } = {}) {
    const headers = this.token ? { Authorization: `Bearer ${this.token}`, ...own } : own;
    return request(this.port, method, target, { headers, body, agent });
  }

  post(target, body, type = JS, headers = {}) {
    const bytes = Buffer.from(typeof body === 'string' ? body : JSON.stringify(body));
    return this.ask('POST', target, { body: bytes, headers: { 'Content-Type': type, 'Content-Length': bytes.length, ...headers } });
  }

  // Kills the processes that it has started.
  killEngines() {
    for (const pid of this.children())
      try {
        process.kill(pid, 'SIGKILL');
      } catch (error) {
        if (error.code !== 'ESRCH') throw error; // it went by itself, or with the first process of its pid namespace
      }
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

module.exports = { Kilnd, runCases, assert, until: base.until, temporaryFolder: base.temporaryFolder, JS, JSON: JSON_TYPE };
