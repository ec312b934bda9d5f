// SPDX-License-Identifier: MIT
//
// The other client, on a thread of its own: asks for one thing after the other, checks each answer, notes how long it
// took; and looks at kilnd's processes meanwhile. Told "phase NAME", it counts under that name from then on; told
// "report", it posts what it has.
'use strict';

const http = require('http');
const { setTimeout: sleep } = require('timers/promises');
const { parentPort, workerData } = require('worker_threads');
const { ask } = require('./client.js');
const { childrenOf, statusOf, privateOf } = require('../processes.js');

const { port, pid, engine, pauseMs } = workerData;
const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
const query = engine ? `engine=${encodeURIComponent(engine)}` : '';
const js = (target, source) => ({ method: 'POST', target: `${target}${target.includes('?') ? '&' : '?'}${query}`, type: 'text/javascript', body: source });
const BAKED = `${'function honest(a) { return a + 1 }\n'.repeat(50)}honest(41)`;

let blob = null; // of the first answer
const KINDS = [
  async (n) => {
    const got = await ask(port, js('/v1/run', `[${n} * 7, typeof leaked, Object.keys({a: 1})]`), agent);
    return [got, got.status === 200 && JSON.stringify(JSON.parse(got.body).result) === `[${n * 7},"undefined",["a"]]`];
  },
  async () => {
    const got = await ask(port, js('/v1/createCachedData?filename=honest.js', BAKED), agent);
    if (!blob && got.status === 200) blob = got;
    return [got, got.status === 200 && got.headers['kiln-sha256'] === blob.headers['kiln-sha256'] && got.bytes.equals(blob.bytes)];
  },
  async (n) => {
    const body = JSON.stringify({ source: 'globalThis.leaked = 1; return a.map((x) => x + b)', kind: 'function', params: ['a', 'b'], args: [[n, 2], 3], ...(engine ? { engine } : {}) });
    const got = await ask(port, { method: 'POST', target: '/v1/run', type: 'application/json', body }, agent);
    return [got, got.status === 200 && JSON.stringify(JSON.parse(got.body).result) === `[${n + 3},5]`];
  },
  async () => {
    if (!blob) return null;
    const got = await ask(port, { method: 'GET', target: `/v1/cachedData/${blob.headers['kiln-key']}` }, agent);
    return [got, got.status === 200 && got.bytes.equals(blob.bytes)];
  },
  async () => {
    const got = await ask(port, js('/v1/run', 'throw new RangeError("honest")'), agent);
    return [got, got.status === 422 && JSON.parse(got.body).error.name === 'RangeError'];
  },
];

let phase = 'before';
const phases = {};
let worst = { rss: 0, own: 0, shared: 0 };
let stopped = false;

function look() {
  for (const child of childrenOf(pid)) {
    const status = statusOf(child);
    if (!status || status.anonymous + status.shared <= worst.own + worst.shared) continue;
    const own = privateOf(child);
    if (own + status.shared > worst.own + worst.shared) worst = { rss: status.rss, own, shared: status.shared };
  }
}

async function main() {
  const looking = setInterval(look, 10);
  for (let n = 1; !stopped; n++) {
    const place = (phases[phase] ||= { ms: [], wrong: [] });
    try {
      const result = await KINDS[n % KINDS.length](n);
      if (result) {
        place.ms.push(result[0].ms);
        if (!result[1]) place.wrong.push(`${result[0].status} ${result[0].body.slice(0, 300)}`);
      }
    } catch (error) {
      place.wrong.push(`request ${n}: ${error.message}`);
    }
    await sleep(pauseMs);
  }
  clearInterval(looking);
  agent.destroy();
}

parentPort.on('message', (message) => {
  if (message === 'stop') {
    stopped = true;
    parentPort.close();
  } else if (message === 'report') {
    parentPort.postMessage({ phases, worst });
  } else {
    phase = message;
  }
});
main();
