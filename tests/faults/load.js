// SPDX-License-Identifier: MIT
//
// The mixed load: clients that ask for one thing after the other and know what is right. Each request is noted with what
// became of it: "ok", "clear" (an error that says what it is), or a problem.
'use strict';

const crypto = require('crypto');
const http = require('http');
const vm = require('vm');
const { ask } = require('../hostile/client.js');

// However busy the machine, a job ends in this time; one in an engine that was stopped never does.
const LONG_MS = 20000;
// What needs an engine.
const ENGINE_KINDS = new Set(['run', 'compute', 'bake', 'runKey']);
const sha256 = (bytes) => crypto.createHash('sha256').update(bytes).digest('hex');

class Load {
  // `random`: gives numbers from 0 to 1. `port()`: where kilnd is now.
  constructor(port, random) {
    this.port = port;
    this.random = random;
    this.agent = new http.Agent({ keepAlive: true });
    this.ledger = new Map(); // key: {source, value, digests}; entries that were acknowledged
    this.keys = [];
    this.notes = []; // {kind, from, to, fate, text}
    this.number = 0;
    this.timeoutMs = LONG_MS; // of jobs
    this.stopped = false;
    this.paused = null;
    this.busy = 0;
  }

  pick() {
    return this.keys[Math.floor(this.random() * this.keys.length)];
  }

  forget() {
    this.ledger.clear();
    this.keys = [];
  }

  // V8 itself, in this official Node, takes the blob for this source and computes the right value.
  static isGood(entry, blob) {
    const script = new vm.Script(entry.source, { filename: 'faults.js', cachedData: blob });
    return script.cachedDataRejected === false && script.runInThisContext() === entry.value;
  }

  checkBlob(got, key, entry) {
    const digest = sha256(got.bytes);
    if (got.headers['kiln-sha256'] && got.headers['kiln-sha256'] !== digest) return `bytes are not those of Kiln-Sha256, key ${key}`;
    if (entry.digests.has(digest)) return null;
    if (!Load.isGood(entry, got.bytes)) return `V8 does not take the blob of ${key}`;
    entry.digests.add(digest);
    return null;
  }

  async bake(entry) {
    const got = await ask(this.port(), { method: 'POST', target: `/v1/createCachedData?filename=faults.js&timeout=${this.timeoutMs}`, type: 'text/javascript', body: entry.source }, this.agent);
    if (got.status !== 200) return this.failed(got);
    const key = got.headers['kiln-key'];
    const known = this.ledger.get(key);
    if (known && known.source !== entry.source) return { fate: 'wrong', text: `one key for two sources: ${key}` };
    const wrong = this.checkBlob(got, key, known || entry);
    if (wrong) return { fate: 'wrong', text: wrong };
    if (got.headers['kiln-cache'] === 'bypass') return { fate: 'ok', bypass: true };
    if (!known) {
      this.ledger.set(key, entry);
      this.keys.push(key);
    }
    return { fate: 'ok' };
  }

  failed(got) {
    let error = null;
    try {
      ({ error } = JSON.parse(got.body));
    } catch {
      // no JSON
    }
    const clear = error && /^ERR_[A-Z_]+$/.test(error.code) && typeof error.message === 'string' && error.message !== '';
    return { fate: clear ? 'clear' : 'unclear', code: clear ? error.code : '', text: `${got.status} ${got.body.slice(0, 250)}` };
  }

  script(object) {
    return { method: 'POST', target: '/v1/run', type: 'application/json', body: JSON.stringify({ ...object, timeout: this.timeoutMs }) };
  }

  judgeRun(got, value) {
    if (got.status !== 200) return this.failed(got);
    return JSON.stringify(JSON.parse(got.body).result) === JSON.stringify(value) ? { fate: 'ok' } : { fate: 'wrong', text: got.body.slice(0, 250) };
  }

  newEntry() {
    const number = ++this.number;
    const lines = Array.from({ length: 20 + (number % 60) }, (_, i) => `function f${i}(a) { return a + ${number * 1000 + i}; }`);
    return { source: `${lines.join('\n')}\nf0(1)`, value: number * 1000 + 1, digests: new Set() };
  }

  kinds = {
    run: async () => {
      const number = ++this.number;
      return this.judgeRun(await ask(this.port(), this.script({ source: `[${number} + 1, typeof leaked].concat(globalThis.leaked = 1)` }), this.agent), [number + 1, 'undefined', 1]);
    },
    compute: async () => {
      const number = ++this.number;
      const source = 'let x = a; for (let i = 0; i < 20000; i++) x = (x * 31 + i) % 1000003; return x';
      let x = number;
      for (let i = 0; i < 20000; i++) x = (x * 31 + i) % 1000003;
      return this.judgeRun(await ask(this.port(), this.script({ source, kind: 'function', params: ['a'], args: [number] }), this.agent), x);
    },
    bake: () => this.bake(this.newEntry()),
    again: () => {
      const key = this.pick();
      return key ? this.bake(this.ledger.get(key)) : null;
    },
    get: async () => {
      const key = this.pick();
      if (!key) return null;
      const entry = this.ledger.get(key);
      const got = await ask(this.port(), { method: 'GET', target: `/v1/cachedData/${key}` }, this.agent);
      if (got.status !== 200) return this.failed(got);
      const wrong = this.checkBlob(got, key, entry);
      return wrong ? { fate: 'wrong', text: wrong } : { fate: 'ok' };
    },
    runKey: async () => {
      const key = this.pick();
      if (!key) return null;
      const entry = this.ledger.get(key);
      return this.judgeRun(await ask(this.port(), this.script({ key }), this.agent), entry.value);
    },
    explain: async () => {
      const got = await ask(this.port(), { method: 'POST', target: '/v1/explain?filename=faults.js', type: 'text/javascript', body: this.newEntry().source }, this.agent);
      if (got.status !== 200) return this.failed(got);
      return JSON.parse(got.body).outcome === 'miss' ? { fate: 'ok' } : { fate: 'wrong', text: got.body.slice(0, 250) };
    },
  };

  static MIX = ['run', 'run', 'run', 'compute', 'bake', 'bake', 'again', 'get', 'get', 'runKey', 'explain'];

  async client() {
    while (!this.stopped) {
      while (this.paused) await this.paused;
      const kind = Load.MIX[Math.floor(this.random() * Load.MIX.length)];
      const from = performance();
      let result;
      this.busy++;
      try {
        result = await this.kinds[kind]();
      } catch (error) {
        result = { fate: 'unclear', text: `no answer: ${error.message}` };
      }
      this.busy--;
      if (result) this.notes.push({ kind, from, to: performance(), ...result });
      else await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }

  // Waits until so many requests that were made from now on have got their right answer from an engine; `until`: no longer.
  async proceed(count, until) {
    const since = performance();
    const good = ({ kind, fate, from }) => ENGINE_KINDS.has(kind) && fate === 'ok' && from > since;
    for (let at = this.notes.length; performance() < until; await new Promise((resolve) => setTimeout(resolve, 5))) {
      for (; at < this.notes.length; at++) if (good(this.notes[at])) count--;
      if (count <= 0) return true;
    }
    return false;
  }

  // Runs `what` while no request is under way.
  async quietly(what) {
    let go;
    this.paused = new Promise((resolve) => (go = resolve));
    const started = performance();
    while (this.busy > 0) {
      await new Promise((resolve) => setTimeout(resolve, 5));
      if (!this.told && performance() - started > 10000) {
        this.told = true;
        console.log(`${this.busy} requests are not answered: ${(await ask(this.port(), { method: 'GET', target: '/v1/stats' })).body}`);
      }
    }
    await what();
    this.agent.destroy(); // connections that kilnd may have found idle for too long
    this.paused = null;
    go();
  }
}

function performance() {
  return Number(process.hrtime.bigint()) / 1e6;
}

module.exports = { Load, ENGINE_KINDS, LONG_MS, now: performance };
