// SPDX-License-Identifier: MIT
//
// node ready.js KILND KILN-ENGINE: GET /readyz says what is missing, and when it is back.
'use strict';

const fs = require('fs');
const http = require('http');
const path = require('path');
const { Kilnd, runCases, assert, temporaryFolder, until } = require('./support.js');

const [program, engine] = process.argv.slice(2).map((one) => path.resolve(one));
const link = path.join(temporaryFolder(), 'engine');
let kilnd;

const ready = async (agent) => {
  const answer = await kilnd.ask('GET', '/readyz', agent ? { agent } : {});
  const body = answer.json();
  assert.strictEqual(answer.status, body.status === 'ready' ? 200 : 503);
  assert.strictEqual(body.notReady.length === 0, answer.status === 200);
  assert.strictEqual(answer.headers['retry-after'], answer.status === 200 ? undefined : '1');
  return body;
};
const untilReady = (what, test) => until(what, async () => test(await ready()));
const healthy = async () => assert.strictEqual((await kilnd.ask('GET', '/healthz')).status, 200);

function pointTo(target) {
  fs.symlinkSync(target, `${link}.new`);
  fs.renameSync(`${link}.new`, link);
}

const cases = {
  async 'ready from the first request on'() {
    pointTo(engine);
    kilnd = await Kilnd.start(program, link);
    const name = (await kilnd.ask('GET', '/v1/engines')).json().engines[0].name;
    assert.deepStrictEqual(await ready(), { notReady: [], status: 'ready', draining: false, engines: [{ name, ready: true }], store: { ready: true } });
    assert.strictEqual((await kilnd.ask('HEAD', '/readyz')).status, 200);
  },
  async 'an engine that cannot be started'() {
    pointTo('/bin/false');
    kilnd.killEngines();
    const body = await untilReady('a missing engine', (one) => one.status === 'not_ready' && one);
    assert(/^engine \S+: no process is ready$/.test(body.notReady[0]) && body.engines[0].ready === false && body.store.ready);
    await healthy();
    pointTo(engine);
    await untilReady('the engine', (one) => one.status === 'ready');
    await until('a run', async () => (await kilnd.post('/v1/run', '1')).status === 200);
  },
  async 'a store that was moved away, and another in its place'() {
    const { store } = kilnd;
    assert.strictEqual((await kilnd.post('/v1/compile', '1')).status, 200);
    fs.renameSync(store, `${store}.away`);
    const body = await ready();
    assert.deepStrictEqual([body.status, body.store.ready, body.notReady.length], ['not_ready', false, 1]);
    assert(/^store: /.test(body.notReady[0]) && !body.notReady[0].includes(kilnd.dir), body.notReady[0]);
    await healthy();
    fs.cpSync(`${store}.away`, store, { recursive: true });
    assert.strictEqual((await ready()).store.ready, false);
    fs.rmSync(store, { recursive: true });
    fs.renameSync(`${store}.away`, store);
    assert.strictEqual((await ready()).status, 'ready');
  },
  async 'not while stopping: connections that are open are told'() {
    const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
    const options = { agent, headers: { 'X-Request-Id': 'first' } };
    await kilnd.ask('GET', '/readyz', options);
    const run = kilnd.post('/v1/run?timeout=3000', 'for (;;);');
    await until('the run', async () => (await kilnd.ask('GET', '/v1/stats', { agent })).json().kiln.jobs_running === 1);
    kilnd.child.kill('SIGTERM');
    await until('stopping', () => kilnd.log.includes(' stopping '));
    const body = await ready(agent);
    assert.deepStrictEqual([body.draining, body.notReady], [true, ['draining']]);
    assert.strictEqual((await run).status, 422);
    agent.destroy();
    assert.strictEqual(await kilnd.stop(), 0);
  },
  async 'without a store there is none to be ready'() {
    kilnd = await Kilnd.start(program, engine, ['--no-store'], { store: false });
    assert.strictEqual((await ready()).store, null);
    assert.strictEqual(await kilnd.stop(), 0);
  },
};

runCases('server_ready', cases);
