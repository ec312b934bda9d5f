// SPDX-License-Identifier: MIT
//
// node sandbox_off.js KILND KILN-ENGINE: --sandbox=off: refused alone; with --allow-unsandboxed workers have no filter
// and kilnd's namespaces, everything works, and kilnd tells.
'use strict';

const fs = require('fs');
const { spawnSync } = require('child_process');
const { Kilnd, runCases, assert, until, JSON: JSON_TYPE } = require('./support.js');

const [program, engine] = process.argv.slice(2);
const sanitized = /__asan_init/.test(fs.readFileSync(engine, 'latin1')); // such engines have no sandbox to begin with
const NAMESPACES = ['net', 'ipc', 'mnt', 'uts', 'user'];
const fieldOf = (pid, name) => new RegExp(`^${name}:[ \\t]*(\\S+)`, 'm').exec(fs.readFileSync(`/proc/${pid}/status`, 'utf8'))[1];
const FILTERS = Number(fieldOf('self', 'Seccomp_filters')); // in a container there may be some
const LEFT = ['limits', 'noNewPrivileges'];

// Workers are its children that give way to others.
function workersOf(kilnd) {
  return kilnd.children().flatMap((pid) => {
    try {
      const nice = fs.readFileSync(`/proc/${pid}/stat`, 'utf8').replace(/^.*\) /s, '').split(' ')[16];
      if (nice !== '10') return [];
      return [{ filters: Number(fieldOf(pid, 'Seccomp_filters')) - FILTERS, noNewPrivileges: fieldOf(pid, 'NoNewPrivs'), uid: Number(fieldOf(pid, 'Uid')), namespaces: NAMESPACES.map((name) => fs.readlinkSync(`/proc/${pid}/ns/${name}`)) }];
    } catch (error) {
      if (error.code !== 'ENOENT' && error.code !== 'ESRCH') throw error;
      return []; // it has just ended
    }
  });
}

// Workers are nice; one that is not yet has not come so far.
async function workerWith(kilnd, filters) {
  return until(`a worker with ${filters} filters`, () => workersOf(kilnd).find((worker) => worker.filters === filters));
}

async function useAll(kilnd) {
  assert.strictEqual((await kilnd.post('/v1/run', '6 * 7')).json().result, 42);
  assert.strictEqual((await kilnd.post('/v1/createCachedData', 'function f() {}')).status, 200);
  const context = (await kilnd.post('/v1/contexts', '{"globals": {"a": 41}}', JSON_TYPE)).json().id;
  assert.strictEqual((await kilnd.post(`/v1/contexts/${context}/run`, 'a + 1')).json().result, 42);
  const image = (await kilnd.post('/v1/images', '{"scripts": [{"source": "function g() { return 42; }"}]}', JSON_TYPE)).json().id;
  assert.strictEqual((await kilnd.post(`/v1/run?image=${image}`, 'g()')).json().result, 42);
  const loop = await kilnd.post('/v1/run?timeout=50', 'for (;;);');
  assert.deepStrictEqual([loop.status, loop.json().outcome], [422, 'time_limit']);
}

const cases = {
  async 'off alone is refused'() {
    for (const [options, message] of [
      [['--sandbox=off'], /^kilnd: --sandbox=off: .*say --allow-unsandboxed, too/],
      [['--sandbox', 'none', '--allow-unsandboxed'], /^kilnd: --sandbox 'none': must be on or off/],
    ]) {
      const ended = spawnSync(program, ['--listen', '127.0.0.1:0', '--no-store', '--engine-program', engine, ...options], { encoding: 'utf8' });
      assert.deepStrictEqual([ended.status, ended.stdout], [2, ''], ended.stderr);
      assert(message.test(ended.stderr), ended.stderr);
    }
  },
  async 'off: workers are processes like any other, and it is told'() {
    const kilnd = await Kilnd.start(program, engine, ['--sandbox=off', '--allow-unsandboxed']);
    for (const { sandboxOff, sandbox } of (await kilnd.ask('GET', '/v1/engines')).json().engines) {
      assert.strictEqual(sandboxOff, true);
      assert.deepStrictEqual(Object.keys(sandbox).filter((layer) => sandbox[layer]), LEFT);
    }
    assert(/^warn \S+ sandbox-off text=/m.test(kilnd.log), kilnd.log);
    await useAll(kilnd);
    const worker = await workerWith(kilnd, 0);
    assert.deepStrictEqual(worker, { filters: 0, noNewPrivileges: '1', uid: process.getuid(), namespaces: NAMESPACES.map((name) => fs.readlinkSync(`/proc/self/ns/${name}`)) });
    assert.strictEqual(await kilnd.stop(), 0);
  },
  async 'on, the default: none of that'() {
    for (const options of [[], ['--sandbox=on'], ['--allow-unsandboxed']]) {
      const kilnd = await Kilnd.start(program, engine, options);
      const [{ sandboxOff, sandbox }] = (await kilnd.ask('GET', '/v1/engines')).json().engines;
      assert.strictEqual(sandboxOff, false);
      assert.strictEqual(sandbox.seccomp, !sanitized);
      assert(!kilnd.log.includes('sandbox-off'), kilnd.log);
      if (!sanitized) await workerWith(kilnd, 1); // the zygote's
      await useAll(kilnd);
      assert.strictEqual(await kilnd.stop(), 0);
    }
  },
};

runCases('server_sandbox_off', cases);
