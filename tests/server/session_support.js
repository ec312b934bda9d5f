// SPDX-License-Identifier: MIT
//
// session_support.js: a real kilnd and a client of its sessions' routes, for the tests beside it.
'use strict';

const assert = require('assert');
const base = require('../kilnd.js');
const { request } = require('../http.js');

class Kilnd extends base.Kilnd {
  // body: a string is source text, anything else but undefined is JSON.
  async ask(method, url, body, headers = {}) {
    const text = body === undefined || typeof body === 'string' || Buffer.isBuffer(body) ? body : JSON.stringify(body);
    if (text !== undefined && !('Content-Type' in headers))
      headers = { ...headers, 'Content-Type': typeof body === 'string' ? 'text/javascript' : 'application/json' };
    if (text !== undefined) headers = { ...headers, 'Content-Length': Buffer.byteLength(text) };
    const answer = await request(this.port, method, url, { headers, body: text, agent: this.agent });
    const isJson = answer.bytes.length > 0 && /json/.test(answer.headers['content-type']);
    return { status: answer.status, headers: answer.headers, bytes: answer.bytes, json: isJson ? answer.json() : undefined };
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

module.exports = { Kilnd, Context, Suite, UNDEFINED, WITH };
