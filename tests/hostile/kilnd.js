// SPDX-License-Identifier: MIT
//
// A kilnd of one's own: started on a free port with a store in a temporary folder, looked at through /proc, stopped by
// its pid.
'use strict';

const { spawn } = require('child_process');
const fs = require('fs');
const os = require('os');
const path = require('path');

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

function read(file) {
  try {
    return fs.readFileSync(file, 'utf8');
  } catch {
    return ''; // the process has just ended
  }
}

// The processes that any thread of `pid` has made and not yet reaped.
function childrenOf(pid) {
  let threads = [];
  try {
    threads = fs.readdirSync(`/proc/${pid}/task`);
  } catch {
    return [];
  }
  return threads.flatMap((thread) => read(`/proc/${pid}/task/${thread}/children`).split(' ').filter(Boolean).map(Number));
}

// Its state letter and its memory in KiB, or null if it is gone.
function statusOf(pid) {
  const text = read(`/proc/${pid}/status`);
  if (text === '') return null;
  const kib = (name) => Number((text.match(new RegExp(`^${name}:\\s*(\\d+)`, 'm')) || [0, 0])[1]);
  return { state: text.match(/^State:\s*(\S)/m)[1], rss: kib('VmRSS'), anonymous: kib('RssAnon'), shared: kib('RssShmem') };
}

// What it does not share with the zygote it was forked from, in KiB: V8's code is in memory, too, and everybody's.
function privateOf(pid) {
  const text = read(`/proc/${pid}/smaps_rollup`);
  return [...text.matchAll(/^Private_(?:Clean|Dirty):\s*(\d+)/gm)].reduce((sum, [, kib]) => sum + Number(kib), 0);
}

function descriptorsOf(pid) {
  return fs.readdirSync(`/proc/${pid}/fd`).length;
}

class Kilnd {
  // `options`: beside --listen and --store. `env`: added to the environment.
  static async start(program, engineProgram, options = [], env = {}) {
    const kilnd = new Kilnd();
    kilnd.temp = fs.mkdtempSync(path.join(os.tmpdir(), 'kiln-hostile-'));
    kilnd.store = path.join(kilnd.temp, 'store');
    kilnd.arguments = ['--listen', '127.0.0.1:0', '--store', kilnd.store, '--engine-program', engineProgram, ...options];
    kilnd.program = program;
    kilnd.env = env;
    kilnd.log = '';
    await kilnd.run();
    return kilnd;
  }

  // Starts it, again after stop() if need be, with the same store.
  async run() {
    const child = spawn(this.program, this.arguments, { stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, ...this.env } });
    this.child = child;
    this.pid = child.pid;
    child.stderr.on('data', (data) => (this.log = (this.log + data).slice(-200000)));
    this.ended = new Promise((resolve) => child.on('close', (code, signal) => resolve({ code, signal })));
    this.port = await new Promise((resolve, reject) => {
      let said = '';
      this.ended.then(({ code, signal }) => reject(new Error(`kilnd ended with ${code} ${signal}:\n${this.log}`)));
      child.stdout.on('data', (data) => {
        said += data;
        const found = said.match(/listening on http:.*:(\d+)\n/);
        if (found) resolve(Number(found[1]));
      });
    });
  }

  get alive() {
    return this.child.exitCode === null && this.child.signalCode === null;
  }

  children() {
    return childrenOf(this.pid);
  }

  // Ends it; gives how it ended. Whoever does not end in time is killed, and said to be.
  async stop(signal = 'SIGTERM', limitMs = 30000) {
    this.child.kill(signal);
    let late = false;
    const timer = setTimeout(() => {
      late = true;
      this.child.kill('SIGKILL');
    }, limitMs);
    const ended = await this.ended;
    clearTimeout(timer);
    return late ? { code: null, signal: 'did not end' } : ended;
  }

  remove() {
    fs.rmSync(this.temp, { recursive: true, force: true });
  }
}

module.exports = { Kilnd, childrenOf, statusOf, privateOf, descriptorsOf, read, sleep };
