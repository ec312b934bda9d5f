// SPDX-License-Identifier: MIT
//
// node left_behind.js KILND KILN-ENGINE: a script that ends, however that happens, leaves no kilnd and no folder.
// node left_behind.js KILND KILN-ENGINE END: is such a script.
'use strict';

const { spawn } = require('child_process');
const fs = require('fs');
const { Kilnd, runCases, assert, until } = require('./support.js');
const { childrenOf, statusOf } = require('../processes.js');

const [program, engine, end] = process.argv.slice(2);

const ENDS = {
  exit: () => process.exit(3),
  exception: () => setImmediate(() => { throw new Error('nobody catches it'); }),
  rejection: () => void Promise.reject(new Error('nobody catches it')),
  SIGHUP: () => process.kill(process.pid, 'SIGHUP'),
  SIGINT: () => process.kill(process.pid, 'SIGINT'),
  SIGTERM: () => process.kill(process.pid, 'SIGTERM'),
  SIGKILL: () => process.kill(process.pid, 'SIGKILL'),
};
const STATUSES = { exit: 3, exception: 1, rejection: 1, SIGHUP: 129, SIGINT: 130, SIGTERM: 143, SIGKILL: 'SIGKILL' };

const isGone = (pid) => (statusOf(pid) ?? { state: 'Z' }).state === 'Z';

async function check(how) {
  const script = spawn(process.execPath, [__filename, program, engine, how], { stdio: ['ignore', 'pipe', 'ignore'] });
  let said = '';
  script.stdout.on('data', (data) => (said += data));
  const status = await new Promise((resolve) => script.on('close', (code, signal) => resolve(signal ?? code)));
  assert.strictEqual(status, STATUSES[how]);
  const { dir, pids } = JSON.parse(said);
  assert(pids.length > 1);
  await until('the end of its processes', () => pids.every(isGone));
  if (how === 'SIGKILL') fs.rmSync(dir, { recursive: true }); // this it cannot do
  assert(!fs.existsSync(dir));
}

async function endSo() {
  const kilnd = await Kilnd.start(program, engine);
  await kilnd.post('/v1/run', '1');
  const text = JSON.stringify({ dir: kilnd.dir, pids: [kilnd.pid, ...childrenOf(kilnd.pid)] });
  process.stdout.write(text, () => ENDS[end]());
}

if (end) endSo();
else runCases('server_left_behind', Object.fromEntries(Object.keys(ENDS).map((how) => [how, () => check(how)])));
