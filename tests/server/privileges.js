// SPDX-License-Identifier: MIT
//
// node privileges.js KILND KILN-ENGINE: which of kilnd's threads are filtered, and --user.
'use strict';

const fs = require('fs');
const path = require('path');
const { spawnSync } = require('child_process');
const { Kilnd, runCases, assert, temporaryFolder, until } = require('./support.js');

const [program, engine] = process.argv.slice(2);
const isRoot = process.getuid() === 0;

function threads(pid) {
  return fs.readdirSync(`/proc/${pid}/task`).map((task) => {
    const status = fs.readFileSync(`/proc/${pid}/task/${task}/status`, 'utf8');
    const field = (name) => new RegExp(`^${name}:[ \\t]*(.*)$`, 'm').exec(status)[1].trim();
    return { name: field('Name'), seccomp: field('Seccomp'), noNewPrivileges: field('NoNewPrivs'), uids: field('Uid').split(/\s+/), groups: field('Groups') };
  });
}

const idOf = (flag, user) => Number(spawnSync('id', [flag, user], { encoding: 'utf8' }).stdout);

async function useAll(kilnd) {
  const source = `'x'.repeat(10); ${'function f() { return 1; }\n'.repeat(5000)}`;
  assert.deepStrictEqual((await kilnd.post('/v1/run', '6 * 7')).json().result, 42);
  assert.strictEqual((await kilnd.post('/v1/createCachedData', source)).headers['kiln-cache'], 'miss');
  const hit = await kilnd.post('/v1/createCachedData', source);
  assert.strictEqual(hit.headers['kiln-cache'], 'hit');
  for (let i = 0; i < 3; i++) assert.strictEqual((await kilnd.ask('GET', `/v1/cachedData/${hit.headers['kiln-key']}`)).bytes.length, hit.bytes.length);
  for (const target of ['/v1/stats', '/v1/engines', '/metrics', '/readyz', '/v1/openapi.json', `/v1/explain?key=${hit.headers['kiln-key']}`])
    assert.strictEqual((await kilnd.ask('GET', target)).status, 200, target);
}

const cases = {
  async 'threads that talk to clients are filtered, those that start processes are not'() {
    const kilnd = await Kilnd.start(program, engine, ['--threads', '3']);
    const sanitized = /__asan_init/.test(fs.readFileSync(program, 'latin1'));
    // A thread takes its name when it has begun.
    const named = (one) => one.filter(({ name }) => /^(MHD-|kilnd-reaper)/.test(name)).length >= 4;
    const found = await until('threads', () => [threads(kilnd.pid)].find(named));
    const of = (test) => found.filter((one) => test(one.name)).map((one) => one.seccomp);
    const wanted = sanitized ? '0' : '2';
    const http = of((name) => name.startsWith('MHD-'));
    assert(http.length >= 3 && http.every((one) => one === wanted), JSON.stringify(found));
    assert.deepStrictEqual(of((name) => name === 'kilnd-reaper'), [wanted]);
    assert.deepStrictEqual(of((name) => name === 'kiln-pool'), ['0']);
    assert(found.every((one) => one.noNewPrivileges === '1'));
    const metrics = (await kilnd.ask('GET', '/metrics')).text;
    assert(metrics.includes(`\nkiln_http_threads_filtered ${sanitized ? 0 : 1}\n`));
    assert.strictEqual(kilnd.log.includes('no-filter'), sanitized);
    await useAll(kilnd);
    assert.strictEqual(await kilnd.stop(), 0);
  },
  async 'what starts late still starts: a new zygote after the last was killed'() {
    const kilnd = await Kilnd.start(program, engine);
    kilnd.killEngines();
    await until('a run', async () => (await kilnd.post('/v1/run', '1')).status === 200);
    assert.strictEqual(await kilnd.stop(), 0);
  },
  async '--user: kilnd and its engines are that user'() {
    const dir = temporaryFolder();
    const store = path.join(dir, 'store');
    const log = path.join(dir, 'access.log');
    const options = ['--user', 'nobody', '--access-log-file', log, '--store', store];
    fs.mkdirSync(store);
    if (!isRoot) {
      const ended = spawnSync(program, ['--listen', '127.0.0.1:0', '--engine-program', engine, ...options], { encoding: 'utf8' });
      assert.deepStrictEqual([ended.status, ended.stderr], [1, "kilnd: --user 'nobody': Operation not permitted\n"]);
      console.log('--user: not root, so only the refusal was tried');
      return;
    }
    const [uid, gid] = [idOf('-u', 'nobody'), idOf('-g', 'nobody')];
    fs.chmodSync(dir, 0o755); // root's: nobody may not write here
    fs.chownSync(store, uid, gid);
    const kilnd = await Kilnd.start(program, engine, options, { store: false, dir });
    for (const one of threads(kilnd.pid)) {
      assert.deepStrictEqual(one.uids, Array(4).fill(String(uid)));
      assert.strictEqual(one.groups, String(gid));
    }
    const pool = kilnd.children();
    assert(pool.length > 0);
    for (const pid of pool) assert(threads(pid).every((one) => one.uids.every((id) => id !== '0')), `process ${pid}`);
    await useAll(kilnd);
    assert(fs.readFileSync(log, 'utf8').includes('route=/v1/run'), 'the log was opened by root');
    assert.strictEqual(fs.statSync(path.join(store, 'kiln.db')).uid, uid);
    // It cannot be opened again here, and goes on.
    fs.renameSync(log, `${log}.1`);
    kilnd.child.kill('SIGHUP');
    await until('a complaint', () => kilnd.log.includes(' access-log '));
    assert.strictEqual((await kilnd.ask('GET', '/readyz')).status, 200);
    assert.strictEqual(await kilnd.stop(), 0);
  },
  async 'users that are refused'() {
    const start = (...options) => spawnSync(program, ['--listen', '127.0.0.1:0', '--engine-program', engine, ...options], { encoding: 'utf8' });
    const tries = [
      [['--user', 'no-such-user-here', '--no-store'], 1, /--user 'no-such-user-here': no such user/],
      [['--user', 'root', '--no-store'], 1, /--user 'root': is root/],
      [['--user', 'nobody'], 2, /--user: name the store with --store, or say --no-store/],
    ];
    for (const [options, status, message] of tries) {
      const ended = start(...options);
      assert.strictEqual(ended.status, status, ended.stderr);
      assert(message.test(ended.stderr), ended.stderr);
    }
  },
};

runCases('server_privileges', cases);
