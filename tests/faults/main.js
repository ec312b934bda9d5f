// SPDX-License-Identifier: MIT
//
// node main.js KILND ENGINE-PROGRAM PRELOAD [--seconds N] [--minutes N] [--clients N] [--seed N] [--only PHASE]
//
// Faults under a load that keeps every worker busy: engines killed and stopped, a full disk, input and output errors, no
// descriptors left, a clock that jumps, a store corrupted and deleted underneath. No answer may be wrong, no acknowledged
// entry may get lost (but with its store), every failure must say what it is, and of the requests that a fault does not
// touch 99.9 % must succeed. The faults in calls are preload.c's.
'use strict';

const fs = require('fs');
const path = require('path');
const { setTimeout: sleep } = require('timers/promises');
const { Kilnd, temporaryFolder } = require('../kilnd.js');
const { childrenOf, descriptorsOf, read, statusOf } = require('../processes.js');
const { ask } = require('../hostile/client.js');
const { Load, ENGINE_KINDS, LONG_MS, now } = require('./load.js');

const CONTROL = { noSpace: 0, ioWrite: 4, ioRead: 8, noFiles: 12, faults: 16, seed: 20, clock: 24 };
const CONTROL_BYTES = 32;
const ONE = 65536;
const WORKERS = 3;
const EVERYTHING = new Set(['run', 'compute', 'bake', 'again', 'get', 'runKey', 'explain']);
const READS = new Set(['get', 'runKey', 'explain']);
const NOTHING = new Set();
const STOPPED_MS = 1500; // the limit of jobs while engines are stopped
const RECOVER_MS = 30000;
const STORY_MAX = 60; // lines
const AFTER_MS = 300; // so long a fault may be felt when it is over

const wanted = { seconds: 30, clients: 16, seed: Date.now() % 1e6, only: '' };
const [kilndProgram, engineProgram, preload, ...rest] = process.argv.slice(2);
for (let i = 0; i < rest.length; i += 2) {
  if (rest[i] === '--minutes') wanted.seconds = 60 * Number(rest[i + 1]);
  else if (/^--(seconds|clients|seed)$/.test(rest[i])) wanted[rest[i].slice(2)] = Number(rest[i + 1]);
  else if (rest[i] === '--only') wanted.only = rest[i + 1];
  else throw new Error(`'${rest[i]}': unknown option`);
}

let state = wanted.seed + 1; // mulberry32
function random() {
  state = (state + 0x6d2b79f5) | 0;
  let t = Math.imul(state ^ (state >>> 15), 1 | state);
  t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
  return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
}

let kilnd;
let load;
let controlFile;
const problems = [];
const judged = []; // {name, counts}
let checked = 0; // acknowledged entries that were looked at again
const windows = []; // {name, from, to, touched, budget}

function control(name, value) {
  const bytes = Buffer.alloc(name === 'clock' ? 8 : 4);
  if (name === 'clock') bytes.writeBigInt64LE(BigInt(value));
  else bytes.writeUInt32LE(value);
  fs.writeSync(controlFile, bytes, 0, bytes.length, CONTROL[name]);
}

function injected() {
  const bytes = Buffer.alloc(4);
  fs.readSync(controlFile, bytes, 0, 4, CONTROL.faults);
  return bytes.readUInt32LE();
}

// Every acknowledged entry is there, and is right.
async function checkLedger(where) {
  let lost = 0;
  await load.quietly(async () => {
    for (const [key, entry] of load.ledger) {
      checked++;
      const got = await ask(kilnd.port, { method: 'GET', target: `/v1/cachedData/${key}` });
      const wrong = got.status === 200 ? load.checkBlob(got, key, entry) : `${got.status} ${got.body.slice(0, 200)}`;
      if (wrong && lost++ < 5) problems.push(`${where}: acknowledged entry ${key}: ${wrong}`);
    }
  });
  if (lost > 0) problems.push(`${where}: ${lost} of ${load.ledger.size} acknowledged entries lost`);
}

async function restart(where) {
  await load.quietly(async () => {
    const ended = await kilnd.stop({ keep: true });
    if (ended !== 0) problems.push(`${where}: kilnd ended with ${ended}\n${kilnd.log.slice(-3000)}`);
    await kilnd.run();
  });
}

async function startAgainWithNewStore(where) {
  await load.quietly(async () => {
    load.forget();
    const ended = await kilnd.stop({ keep: true });
    if (ended !== 0) problems.push(`${where}: kilnd ended with ${ended}\n${kilnd.log.slice(-3000)}`);
    fs.rmSync(kilnd.store, { recursive: true, force: true });
    await kilnd.run();
  });
}

// Holds a value for a while, then lets go.
async function inject(name, share, ms) {
  control(name, share);
  await sleep(ms);
  control(name, 0);
}

// The first of a pid namespace.
const isKeeper = (pid) => /^NSpid:.*\t1$/m.test(read(`/proc/${pid}/status`));

function strike(window, pid, signal) {
  try {
    process.kill(pid, signal);
  } catch {
    return false; // it had ended
  }
  window.strikes.push({ at: now(), pid, signal });
  return true;
}

// Kills engine processes; stops a share of them instead. Each costs the job of the worker at most. The next one comes when
// the engines have been at work again since: who kills each before it is ready, as a clock alone does where the machine is
// slow, leaves nothing that could be available.
async function harm(ms, window, stops) {
  const stopped = [];
  load.timeoutMs = STOPPED_MS;
  for (const until = now() + ms; now() < until; await load.proceed(2 * WORKERS + 1, until), await sleep(20 + random() * 80)) {
    const children = childrenOf(kilnd.pid);
    if (children.length === 0) continue;
    const victim = children[Math.floor(random() * children.length)];
    const signal = random() < stops ? 'SIGSTOP' : 'SIGKILL';
    const all = isKeeper(victim);
    if (!strike(window, victim, signal)) continue;
    window.budget += all ? WORKERS : 1; // a keeper takes all of its namespace with it
    if (signal === 'SIGSTOP') stopped.push(victim);
  }
  // An idle worker that is stopped would cost a request of a later phase.
  for (const victim of stopped) if (childrenOf(kilnd.pid).includes(victim)) strike(window, victim, 'SIGKILL');
  while (childrenOf(kilnd.pid).some((child) => stopped.includes(child))) await sleep(10);
  await load.proceed(1, now() + RECOVER_MS);
  load.timeoutMs = LONG_MS;
}

// What each phase does for `ms`, which kinds of requests it touches, how many failures of others it may cost.
const phases = {
  none: { touched: NOTHING, run: (ms) => sleep(ms) },
  kill: { touched: NOTHING, run: (ms, window) => harm(ms, window, 0) },
  stop: { touched: NOTHING, run: (ms, window) => harm(ms, window, 0.5) },
  // None lives long enough to be of use: what needs one fails, and nothing else; then all is well again.
  engineless: {
    touched: ENGINE_KINDS,
    async run(ms, window) {
      for (const until = now() + ms; now() < until; await sleep(5)) for (const child of childrenOf(kilnd.pid)) strike(window, child, 'SIGKILL');
      const since = now();
      if (!(await load.proceed(1, since + RECOVER_MS))) problems.push(`engineless: no engine ${RECOVER_MS} ms after the last was killed`);
    },
  },
  noSpace: { touched: NOTHING, run: (ms) => inject('noSpace', ONE, ms) },
  noSpaceNowAndThen: { touched: NOTHING, run: (ms) => inject('noSpace', ONE / 20, ms) },
  ioWrite: { touched: NOTHING, run: (ms) => inject('ioWrite', ONE / 10, ms) },
  ioRead: { touched: READS, run: (ms) => inject('ioRead', ONE / 20, ms) },
  noFiles: { touched: EVERYTHING, run: (ms) => inject('noFiles', ONE / 10, ms) },
  noFilesAtAll: {
    touched: EVERYTHING,
    // Those who connect meanwhile wait, and no longer than that.
    async run(ms) {
      const injection = inject('noFiles', ONE, Math.min(ms, 1500));
      const got = await Promise.all(Array.from({ length: 8 }, () => ask(kilnd.port, { method: 'GET', target: '/healthz' })));
      for (const { status, body } of got) if (status !== 200) problems.push(`noFilesAtAll: a new connection: ${status} ${body}`);
      await injection;
    },
  },
  clock: {
    touched: NOTHING,
    async run(ms) {
      for (const until = now() + ms; now() < until; await sleep(50)) control('clock', Math.floor((random() - 0.5) * 2 * 3e8));
      control('clock', 0);
    },
  },
  corrupted: {
    touched: READS,
    lasts: true, // what is damaged stays so until there is a new store
    async run(ms) {
      const file = fs.readdirSync(kilnd.store).find((name) => /\.db$/.test(name));
      const fd = fs.openSync(path.join(kilnd.store, file), 'r+');
      for (const until = now() + ms; now() < until; await sleep(20)) {
        const { size } = fs.fstatSync(fd);
        const noise = Buffer.from(Array.from({ length: 16 }, () => Math.floor(random() * 256)));
        fs.writeSync(fd, noise, 0, noise.length, Math.floor(random() * Math.max(size - 16, 1)));
      }
      fs.closeSync(fd);
    },
    after: () => startAgainWithNewStore('corrupted'),
  },
  deleted: {
    touched: READS,
    async run(ms) {
      await load.quietly(async () => {
        load.forget();
        fs.rmSync(kilnd.store, { recursive: true, force: true });
      });
      await sleep(ms);
    },
    // What was acknowledged since must be there after a restart as well.
    async after() {
      await restart('deleted');
      await checkLedger('deleted, after a restart');
      await startAgainWithNewStore('deleted');
    },
  },
};

function touchedBy(note) {
  return windows.some(({ from, to, touched }) => touched.has(note.kind) && note.from < to + AFTER_MS && note.to > from);
}

// Which requests failed with which answers, and what was done to engines meanwhile, in the order of time.
function story(window, failed) {
  const at = (time) => `${(time - window.from).toFixed(0)} ms`.padStart(9);
  const lines = window.strikes.map((strike) => ({ time: strike.at, text: `${strike.signal} to ${strike.pid}` }));
  for (const note of failed) lines.push({ time: note.to, text: `${note.kind}, asked at${at(note.from)}: ${note.fate}: ${note.text.trim()}` });
  lines.sort((a, b) => a.time - b.time);
  const shown = lines.length > STORY_MAX ? [...lines.slice(0, STORY_MAX / 2), { time: NaN, text: `${lines.length - STORY_MAX} more` }, ...lines.slice(-STORY_MAX / 2)] : lines;
  return [...shown.map(({ time, text }) => `  ${at(time)}  ${text}`), `  kilnd: ${kilnd.log.slice(-2000)}`].join('\n');
}

// Judges the notes of a phase.
function judge(window, notes) {
  const fates = { ok: 0, clear: 0, unclear: 0, wrong: 0 };
  let untouched = 0;
  const failed = [];
  let shown = 0;
  let bypasses = 0;
  const codes = {};
  for (const note of notes) {
    fates[note.fate]++;
    if (note.bypass) bypasses++;
    if (note.fate !== 'ok') codes[note.code || note.text.slice(0, 60)] = (codes[note.code || note.text.slice(0, 60)] || 0) + 1;
    if ((note.fate === 'wrong' || note.fate === 'unclear') && shown++ < 5) problems.push(`${window.name}: ${note.kind}: ${note.fate}: ${note.text}`);
    if (touchedBy(note)) continue;
    untouched++;
    if (note.fate !== 'ok') failed.push(note);
  }
  const beyond = Math.max(0, failed.length - window.budget);
  const available = untouched === 0 ? 1 : 1 - beyond / untouched;
  if (available < 0.999) problems.push(`${window.name}: of ${untouched} requests not touched ${beyond} failed\n${story(window, failed)}`);
  const slowest = notes.reduce((most, { from, to }) => Math.max(most, to - from), 0);
  console.log(`${window.name.padEnd(18)} ${String(notes.length).padStart(6)} requests: ok ${fates.ok} (${bypasses} past the store), clear errors ${fates.clear}, unclear ${fates.unclear}, wrong ${fates.wrong}; faults ${window.faults}; ` +
    `others available ${(available * 100).toFixed(3)} %; slowest ${slowest.toFixed(0)} ms${Object.keys(codes).length ? ` ${JSON.stringify(codes)}` : ''}`);
  return { requests: notes.length, ...fates, untouched, beyond };
}

// What a phase came to in all its rounds.
function sum(name) {
  const add = (total, one) => Object.fromEntries(Object.entries(one).map(([key, count]) => [key, count + (total[key] || 0)]));
  return judged.filter((one) => name === undefined || one.name === name).reduce((total, { counts }) => add(total, counts), { requests: 0, untouched: 0, beyond: 0 });
}

function printSums(names) {
  for (const name of names) {
    const { requests, ok, clear, unclear, wrong, untouched, beyond } = sum(name);
    console.log(`all of ${name.padEnd(18)} ${String(requests).padStart(7)} requests: ok ${ok}, clear errors ${clear}, unclear ${unclear}, wrong ${wrong}; others available ${(100 - (100 * beyond) / Math.max(untouched, 1)).toFixed(3)} %`);
  }
}

async function main() {
  const controlPath = path.join(temporaryFolder(), 'control');
  fs.writeFileSync(controlPath, Buffer.alloc(CONTROL_BYTES));
  controlFile = fs.openSync(controlPath, 'r+');
  control('seed', wanted.seed * 2 + 1);
  console.log(`seed ${wanted.seed}, ${wanted.clients} clients`);
  const dir = temporaryFolder();
  const env = { LD_PRELOAD: preload, KILN_FAULTS: controlPath, KILN_FAULTS_BELOW: dir };
  kilnd = await Kilnd.start(kilndProgram, engineProgram, ['--workers', String(WORKERS), '--heap-max', '64M', '--timeout-max', String(LONG_MS), '--hot-ms', '20'], { dir, env });
  load = new Load(() => kilnd.port, random);
  const clients = Array.from({ length: wanted.clients }, () => load.client());
  const names = Object.keys(phases).filter((name) => name.includes(wanted.only));
  try {
    await sleep(500);
    const descriptors = descriptorsOf(kilnd.pid);
    const until = now() + wanted.seconds * 1000;
    const phaseMs = Math.max(600, Math.min(8000, (wanted.seconds * 1000) / names.length - 700));
    do {
      for (const name of names) {
        const phase = phases[name];
        const begun = load.notes.length;
        const before = injected();
        const window = { name, from: now(), to: Infinity, touched: phase.touched, budget: 0, strikes: [] };
        windows.push(window);
        await phase.run(phaseMs, window);
        if (!phase.lasts) window.to = now();
        await sleep(name === 'none' ? 0 : AFTER_MS + 200); // and the load goes on
        window.faults = injected() - before + window.strikes.length;
        await load.quietly(() => 0);
        judged.push({ name, counts: judge(window, load.notes.slice(begun)) });
        if (phase.after) await phase.after();
        else await checkLedger(name);
        window.to = Math.min(window.to, now());
        if (!kilnd.alive) throw new Error(`kilnd has ended:\n${kilnd.log.slice(-3000)}`);
        load.notes.length = 0;
      }
    } while (now() < until);
    const after = descriptorsOf(kilnd.pid);
    if (after > descriptors + 16) problems.push(`${after} descriptors, ${descriptors} before`);
    if (judged.length > names.length) printSums(names);
    const total = sum();
    console.log(`in all ${total.requests} requests; ${checked} times an acknowledged entry was asked for again; of ${total.untouched} that no fault touched ${total.beyond} failed; kilnd has ${statusOf(kilnd.pid).rss} KiB, ${after} descriptors`);
  } catch (error) {
    problems.push(error.stack);
  }
  load.stopped = true;
  await Promise.race([Promise.all(clients), sleep(20000)]);
  load.agent.destroy();
  const ended = await kilnd.stop();
  if (ended !== 0) problems.push(`kilnd ended with ${ended}\n${kilnd.log.slice(-3000)}`);
  for (const problem of problems) console.log(`not ok ${problem}`);
  console.log(`${problems.length === 0 ? 100 : 99}%: Checks: ${sum().requests}, Failures: ${problems.length}, Errors: 0`);
  process.exit(problems.length === 0 ? 0 : 1);
}
main();
