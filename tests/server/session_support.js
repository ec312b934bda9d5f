// SPDX-License-Identifier: MIT
//
// session_support.js: a real kilnd and a client of its sessions' routes, for the tests beside it.
'use strict';

const assert = require('assert');
const { spawn } = require('child_process');
const fs = require('fs');
const http = require('http');
const os = require('os');
const path = require('path');

class Kilnd {
  static async start(program, engine, options = []) {
    const kilnd = new Kilnd();
    kilnd.temp = fs.mkdtempSync(path.join(os.tmpdir(), 'kiln-sessions-'));
    kilnd.agent = new http.Agent({ keepAlive: true, maxSockets: 64 });
    kilnd.child = spawn(program, ['--listen', '127.0.0.1:0', '--store', path.join(kilnd.temp, 'store'), '--engine-program', engine,
      ...options], { stdio: ['ignore', 'pipe', 'pipe'] });
    // Whatever ends this script, nobody is left behind.
    process.once('exit', () => {
      kilnd.child.kill('SIGKILL');
      fs.rmSync(kilnd.temp, { recursive: true, force: true, maxRetries: 20 });
    });
    kilnd.log = '';
    kilnd.child.stderr.on('data', (chunk) => { kilnd.log += chunk; });
    kilnd.ended = new Promise((resolve) => kilnd.child.on('exit', (code, signal) => resolve(signal || code)));
    kilnd.port = await new Promise((resolve, reject) => {
      let out = '';
      kilnd.child.stdout.on('data', (chunk) => {
        out += chunk;
        const found = /:(\d+)\s/.exec(out);
        if (found) resolve(Number(found[1]));
      });
      kilnd.ended.then((how) => reject(new Error(`kilnd: ${how}: ${kilnd.log}`)));
    });
    return kilnd;
  }

  // Who still waits for an answer gets it.
  async stop() {
    this.child.kill('SIGTERM');
    const how = await this.ended;
    this.agent.destroy();
    fs.rmSync(this.temp, { recursive: true, force: true });
    return how;
  }

  // body: a string is source text, anything else but undefined is JSON.
  ask(method, url, body, headers = {}) {
    const text = body === undefined || typeof body === 'string' || Buffer.isBuffer(body) ? body : JSON.stringify(body);
    if (text !== undefined && !('Content-Type' in headers))
      headers = { ...headers, 'Content-Type': typeof body === 'string' ? 'text/javascript' : 'application/json' };
    if (text !== undefined) headers = { ...headers, 'Content-Length': Buffer.byteLength(text) };
    return new Promise((resolve, reject) => {
      const request = http.request({ port: this.port, host: '127.0.0.1', method, path: url, headers, agent: this.agent }, (response) => {
        const chunks = [];
        response.on('data', (chunk) => chunks.push(chunk));
        response.on('error', reject);
        response.on('end', () => {
          const bytes = Buffer.concat(chunks);
          const answer = { status: response.statusCode, headers: response.headers, bytes, url };
          try {
            if (bytes.length > 0 && /json/.test(response.headers['content-type'])) answer.json = JSON.parse(bytes);
            resolve(answer);
          } catch (error) {
            reject(error);
          }
        });
      });
      request.on('error', reject);
      request.end(text);
    });
  }

  async ok(method, url, body, status = 200) {
    const answer = await this.ask(method, url, body);
    assert.strictEqual(answer.status, status, `${method} ${url}: ${answer.status} ${answer.bytes}`);
    return answer.json !== undefined ? answer.json : answer.bytes;
  }

  // An answer with this status, and an error whose members are as `wanted` says: a value or a regular expression each.
  async fails(status, wanted, method, url, body) {
    const answer = await this.ask(method, url, body);
    assert.strictEqual(answer.status, status, `${method} ${url}: ${answer.status} ${answer.bytes}`);
    for (const [name, value] of Object.entries(wanted)) {
      if (value instanceof RegExp) assert.match(String(answer.json.error[name]), value);
      else assert.deepStrictEqual(answer.json.error[name], value);
    }
    return answer.json;
  }

  // ---- the nouns: each answers its id

  async make(noun, body, query = '') {
    const answer = await this.ask('POST', `/v1/${noun}s${query}`, body);
    assert.strictEqual(answer.status, 201, `${noun}: ${answer.status} ${answer.bytes}`);
    assert.strictEqual(answer.headers.location, `/v1/${noun}s/${answer.json.id}`);
    assert.ok(answer.json.id.startsWith(`${answer.json.session}-`));
    return answer.json;
  }
  async context(body) { return new Context(this, await this.make('context', body)); }
  async script(body) { return (await this.make('script', body)).id; }
  async func(body) { return (await this.make('function', body)).id; }
  async module(body) { return (await this.make('module', body)).id; }

  get(id) { return this.ok('GET', `/v1/modules/${id}`); }
  link(id, links = {}) { return this.ok('POST', `/v1/modules/${id}/link`, { links }); }
  evaluate(id, body) { return this.ok('POST', `/v1/modules/${id}/evaluate`, body); }
  namespace(id) { return this.ok('GET', `/v1/modules/${id}/namespace`); }
  call(id, body) { return this.ok('POST', `/v1/functions/${id}/call`, body); }
  async value(script, context, more = {}) {
    return (await this.ok('POST', `/v1/scripts/${script}/run`, { context: context.id, ...more })).result;
  }
  cachedData(noun, id) { return this.ok('GET', `/v1/${noun}s/${id}/createCachedData`); }
  async stat(name) { return (await this.ok('GET', '/v1/stats')).kiln[name]; }
}

class Context {
  constructor(kilnd, made) {
    this.kilnd = kilnd;
    this.made = made;
    this.id = made.id;
    this.session = made.session;
    this.url = `/v1/contexts/${made.id}`;
  }
  async run(source, more) {
    const body = more === undefined ? source : { source, ...more };
    return (await this.kilnd.ok('POST', `${this.url}/run`, body)).result;
  }
  refuses(wanted, source, more = {}) {
    return this.kilnd.fails(422, wanted, 'POST', `${this.url}/run`, { source, ...more });
  }
  globals() { return this.kilnd.ok('GET', `${this.url}/globals`); }
  measure(body) { return this.kilnd.ok('POST', `${this.url}/measureMemory`, body); }
  // Another one of the same isolate.
  async beside(body = {}) { return this.kilnd.context({ session: this.session, ...body }); }
  end() { return this.kilnd.ok('DELETE', `/v1/sessions/${this.session}`, undefined, 204); }
}

// The tests run in the Node whose engine kilnd has; V8 12.6 has dropped import assertions.
const WITH = Number(process.versions.node.split('.')[0]) >= 22 ? 'with' : 'assert';
const UNDEFINED = { type: 'undefined' };

async function until(probe) {
  for (const end = Date.now() + 20000; ;) {
    const found = await probe();
    if (found) return found;
    assert.ok(Date.now() < end, 'in 20 s');
  }
}

// Collects tests, runs them one after the other, prints what failed. A test's name begins with the ids of the rows it
// is for.
class Suite {
  constructor() {
    this.tests = [];
    this.ids = new Set();
    this.failed = new Set();
    this.test = (ids, name, body) => {
      for (const id of ids.split(' ').filter(Boolean)) this.ids.add(id);
      this.tests.push({ ids, name, body });
    };
  }
  fail(test, error) {
    this.failed.add(test);
    console.log(`not ok - ${test.ids} ${test.name}\n${error.stack}`);
  }
  async run(kilnd, only) {
    let running;
    // A test that fails may leave requests that nobody waits for any more; they must not end the script.
    const stray = (error) => this.fail(running, error);
    process.on('unhandledRejection', stray);
    for (running of this.tests) {
      if (only && !`${running.ids} ${running.name}`.includes(only)) continue;
      try {
        await running.body(kilnd);
      } catch (error) {
        this.fail(running, error);
      }
    }
    process.off('unhandledRejection', stray);
    return this.failed.size;
  }
}

module.exports = { Kilnd, Context, Suite, UNDEFINED, WITH, until };
