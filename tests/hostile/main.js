// SPDX-License-Identifier: MIT
//
// node main.js KILND ENGINE-PROGRAM [--rounds N] [--engines REGISTRY NAME...] [--only TEXT] [--at-once N] [--verbose]
//
// Sends every case of the table to a kilnd, several at once, while another client's answers and latencies are watched.
// Each case must get one of its answers by its deadline + 300 ms; one that came late is tried once more alone, since
// the machine may be busy with something else. Afterwards kilnd must be as it was: memory, descriptors, processes.
'use strict';

const { Worker } = require('worker_threads');
const path = require('path');
const { setTimeout: sleep } = require('timers/promises');
const { Kilnd } = require('../kilnd.js');
const { descriptorsOf, statusOf } = require('../processes.js');
const { load, judge } = require('./table.js');
const { ask, converse } = require('./client.js');
const { follow } = require('./steps.js');

const TIMEOUT_MS = 1000; // of a script that names none
const REQUEST_MS = 1500; // for a head, or a body
const RAW_MS = 9000; // a body that drips has a second more for each KiB
const LATE_MS = 300;
const MEMORY_MIB = 256;
const GROWTH_KIB = 32 * 1024;

function parseArguments(list) {
  const wanted = { rounds: 1, engines: [''], atOnce: 3, only: '', verbose: false, registry: null };
  const [kilnd, engineProgram, ...rest] = list;
  for (let i = 0; i < rest.length; i++) {
    if (rest[i] === '--rounds') wanted.rounds = Number(rest[++i]);
    else if (rest[i] === '--at-once') wanted.atOnce = Number(rest[++i]);
    else if (rest[i] === '--only') wanted.only = rest[++i];
    else if (rest[i] === '--verbose') wanted.verbose = true;
    else if (rest[i] === '--engines') {
      wanted.registry = rest[++i];
      wanted.engines = [];
      while (rest[i + 1] && !rest[i + 1].startsWith('--')) wanted.engines.push(rest[++i]);
    } else throw new Error(`'${rest[i]}': unknown option`);
  }
  return { kilnd, engineProgram, ...wanted };
}

const percentile = (sorted, share) => (sorted.length === 0 ? 0 : sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))]);

function describe(ms) {
  const sorted = [...ms].sort((a, b) => a - b);
  return `${sorted.length} answers, p50 ${percentile(sorted, 0.5).toFixed(1)} ms, p99 ${percentile(sorted, 0.99).toFixed(1)} ms, max ${percentile(sorted, 1).toFixed(1)} ms`;
}

// One case: {problem, late (ms over its deadline), ms}.
async function attempt(port, one) {
  const request = one.make();
  try {
    if (request.raw !== undefined) {
      const got = await converse(port, request.raw, RAW_MS + 5000);
      return { problem: judge(one, got), ms: got.ms, late: got.ms - RAW_MS, got };
    }
    if (request.steps !== undefined) {
      const result = await follow(port, request.steps, TIMEOUT_MS);
      return { ...result, problem: result.problem || judge(one, result.got) };
    }
    const got = await ask(port, request);
    return { problem: judge(one, got), ms: got.ms, late: got.ms - (request.timeout || TIMEOUT_MS), got };
  } catch (error) {
    // kilnd may close the connection of an upload that it has refused before the rest was sent.
    const early = one.answers.some(({ status }) => status === 413) && /EPIPE|ECONNRESET/.test(error.code);
    return { problem: early ? null : error.message, ms: 0, late: 0, got: { status: early ? '413?' : 'none' } };
  }
}

async function stats(kilnd) {
  return JSON.parse((await ask(kilnd.port, { method: 'GET', target: '/v1/stats' })).body);
}

async function untilQuiet(kilnd) {
  for (let i = 0; ; i++) {
    const now = await stats(kilnd);
    // This request and the other client's connection remain.
    if (now.kiln.jobs_running === 0 && now.kiln.jobs_queued === 0 && now.server.connections <= 2) return now;
    if (i === 200) throw new Error(`still busy after 20 s: ${JSON.stringify([now.kiln, now.server])}`);
    await sleep(100);
  }
}

function look(kilnd) {
  const children = kilnd.children();
  const own = statusOf(kilnd.pid);
  return { rss: own.rss, anonymous: own.anonymous, shared: own.shared, descriptors: descriptorsOf(kilnd.pid), children: children.length, zombies: children.filter((pid) => (statusOf(pid) || { state: 'Z' }).state === 'Z').length };
}

async function round(wanted, engine, cases, tally) {
  const options = ['--workers', '4', '--heap-max', '64M', '--memory-max', `${MEMORY_MIB}M`, '--body-max', '16M', '--timeout-default', String(TIMEOUT_MS),
    '--header-timeout-ms', String(REQUEST_MS), '--body-timeout-ms', String(REQUEST_MS), '--idle-timeout-ms', '4000', '--hot-max', '1M',
    '--sessions', '16', '--images-max', '12', '--image-memory-max', '64M'];
  if (engine) options.push('--engines-dir', wanted.registry, '--engine', engine);
  const kilnd = await Kilnd.start(wanted.kilnd, wanted.engineProgram, options);
  const honest = new Worker(path.join(__dirname, 'honest.js'), { workerData: { port: kilnd.port, pid: kilnd.pid, engine, pauseMs: 5 } });
  const report = () => new Promise((resolve) => {
    honest.once('message', resolve);
    honest.postMessage('report');
  });
  const problems = [];
  let faultsWanted = 0; // answers of 5xx that a case asks for
  try {
    // Big bodies and blobs, and a moment of honest work: what is kept once, as SQLite's caches are, is kept already.
    const big = { method: 'POST', target: '/v1/createCachedData?mode=eager&timeout=5000', type: 'text/javascript' };
    for (let i = 0; i < 4; i++) await ask(kilnd.port, { ...big, body: `${'var a=function(){return 1};\n'.repeat(1e5)}//${i}` });
    await sleep(1500);
    await untilQuiet(kilnd);
    const before = look(kilnd);
    for (let turn = 0; turn < wanted.rounds; turn++) {
      honest.postMessage('meanwhile');
      const late = [];
      const work = async (queue) => {
        for (let one; (one = queue.shift()) && kilnd.alive; ) {
          const result = await attempt(kilnd.port, one);
          if (!result.problem && result.got.status >= 500) faultsWanted++;
          const place = (tally[one.category] ||= { cases: 0, good: 0, ms: [], answers: {} });
          place.cases++;
          place.ms.push(result.ms);
          if (wanted.verbose) console.log(`${one.where}: ${result.ms.toFixed(0)} ms ${result.got.status} ${(/"outcome":"\w+"|"code":"\w+"/.exec(result.got.body) || [''])[0]} ${(/"message":"(.{0,70})/.exec(result.got.body) || ['', ''])[1]}`);
          if (result.problem) problems.push(`${one.where}: ${result.problem}\n    ${one.line.slice(0, 200)}`);
          else if (result.late > LATE_MS) late.push({ one, first: result });
          else place.good++;
        }
      };
      const together = cases.filter(({ alone }) => !alone);
      await Promise.all(Array.from({ length: wanted.atOnce }, () => work(together)));
      await work(cases.filter(({ alone }) => alone));
      honest.postMessage('again');
      for (const { one, first } of late) {
        const result = await attempt(kilnd.port, one);
        console.log(`late: ${one.where}: ${first.late.toFixed(0)} ms over its deadline, then ${result.late.toFixed(0)} ms`);
        if (result.problem || result.late > LATE_MS) problems.push(`${one.where}: late by ${first.late.toFixed(0)} ms, then by ${result.late.toFixed(0)} ms ${result.problem || ''}\n    ${one.line.slice(0, 200)}`);
        else tally[one.category].good++;
      }
      if (wanted.rounds > 1) console.log(`round ${turn + 1}: kilnd ${JSON.stringify(look(kilnd))}`);
    }
    const { phases, worst } = await report();
    honest.postMessage('stop');
    await new Promise((resolve) => honest.on('exit', resolve));
    const counters = await untilQuiet(kilnd);
    await sleep(500);
    const after = look(kilnd);
    console.log(`${engine || 'default engine'}: the other client before: ${describe(phases.before.ms)}; meanwhile: ${describe(phases.meanwhile.ms)}`);
    console.log(`worst worker: ${(worst.rss / 1024).toFixed(0)} MiB resident, ${(worst.own / 1024).toFixed(0)} of them its own, ${(worst.shared / 1024).toFixed(0)} in memfds; limit ${MEMORY_MIB} MiB`);
    console.log(`kilnd before: ${JSON.stringify(before)}; after: ${JSON.stringify(after)}; kills ${counters.kiln.kills}, crashed ${counters.kiln.jobs_crashed}`);
    for (const { wrong } of Object.values(phases)) problems.push(...wrong.map((text) => `the other client: ${text}`));
    if (worst.own + worst.shared > MEMORY_MIB * 1024 * 1.15) problems.push(`a worker had ${worst.own + worst.shared} KiB of its own, limit ${MEMORY_MIB * 1024} and 15 %`);
    if (after.rss > before.rss + GROWTH_KIB) problems.push(`kilnd has ${after.rss} KiB, before ${before.rss}`);
    if (after.descriptors > before.descriptors + 4) problems.push(`kilnd has ${after.descriptors} descriptors, before ${before.descriptors}`);
    if (after.zombies > 0) problems.push(`${after.zombies} zombies`);
    if (after.children > before.children) problems.push(`${after.children} processes, before ${before.children}`);
    if (counters.server.responses_5xx > faultsWanted) problems.push(`${counters.server.responses_5xx} answers of 5xx, ${faultsWanted} of them wanted`);
  } catch (error) {
    problems.push(error.stack);
    await honest.terminate();
  }
  const ended = await kilnd.stop();
  if (ended !== 0) problems.push(`kilnd ended with ${ended}: ${kilnd.log.slice(-2000)}`);
  return problems;
}

async function main() {
  const wanted = parseArguments(process.argv.slice(2));
  const cases = load().filter(({ line, where }) => line.includes(wanted.only) || where.startsWith(wanted.only));
  const problems = [];
  const tally = {};
  for (const engine of wanted.engines) problems.push(...(await round(wanted, engine, cases, tally)).map((text) => `${engine ? `${engine}: ` : ''}${text}`));
  let good = 0;
  let all = 0;
  console.log('category   cases  right   p50 ms   max ms');
  for (const [category, { cases: count, good: right, ms }] of Object.entries(tally)) {
    const sorted = ms.sort((a, b) => a - b);
    console.log(`${category.padEnd(9)} ${String(count).padStart(6)} ${String(right).padStart(6)} ${percentile(sorted, 0.5).toFixed(0).padStart(8)} ${percentile(sorted, 1).toFixed(0).padStart(8)}`);
    all += count;
    good += right;
  }
  for (const problem of problems) console.log(`not ok ${problem}`);
  const failures = problems.length;
  console.log(`${failures === 0 ? 100 : Math.min(99, Math.floor((100 * good) / Math.max(all, 1)))}%: Checks: ${all}, Failures: ${failures}, Errors: 0`);
  process.exitCode = failures === 0 && all > 0 ? 0 : 1;
}
main();
