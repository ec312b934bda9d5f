// SPDX-License-Identifier: MIT
//
// kilnd.js: for test scripts: a real kilnd on a free port, in a folder of its own. However the script ends, its kilnds
// end with it, and its folders are gone.
'use strict';

const { spawn } = require('child_process');
const fs = require('fs');
const http = require('http');
const os = require('os');
const path = require('path');
const { childrenOf } = require('./processes.js');

const LOG_MAX = 1 << 20;
const STOP_MS = 30000;
const SIGNALS = { SIGHUP: 1, SIGINT: 2, SIGTERM: 15 };

const children = new Set();
const folders = new Set();

// While files are still written into it, it is tried again.
function removeFolder(folder) {
  folders.delete(folder);
  fs.rmSync(folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 10 });
}

// Also when nobody has caught an exception or a rejection.
process.on('exit', () => {
  for (const child of children) child.kill('SIGKILL');
  for (const folder of folders) removeFolder(folder);
});
for (const [signal, number] of Object.entries(SIGNALS)) process.on(signal, () => process.exit(128 + number));

// A new folder, there until the script ends.
function temporaryFolder() {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'kilnd-js-'));
  folders.add(folder);
  return folder;
}

// Tries until the result is one, or 20 s are over.
async function until(what, test) {
  for (const end = Date.now() + 20000; ; ) {
    const found = await test();
    if (found) return found;
    if (Date.now() > end) throw new Error(`${what}: not within 20 s`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

class Kilnd {
  // `options` are kilnd's, besides --listen, --engine-program and --store. `dir`: a folder that it has from now on; else
  // a new one. `env`: added to the environment.
  static async start(program, engine, options = [], { store = true, dir = temporaryFolder(), env = {} } = {}) {
    const kilnd = new this();
    Object.assign(kilnd, { program, engine, dir, log: '', env: { ...process.env, ...env } });
    kilnd.store = store ? path.join(dir, 'store') : null;
    kilnd.arguments = ['--listen', '127.0.0.1:0', '--engine-program', engine, ...options, ...(store ? ['--store', kilnd.store] : [])];
    await kilnd.run();
    return kilnd;
  }

  // Starts it, also again after stop({ keep: true }).
  async run() {
    // setpriv: it ends with the script even if that is killed.
    const child = spawn('setpriv', ['--pdeathsig', 'KILL', '--', this.program, ...this.arguments], { stdio: ['ignore', 'pipe', 'pipe'], env: this.env });
    children.add(child);
    this.child = child;
    this.pid = child.pid;
    this.agent = new http.Agent({ keepAlive: true, maxSockets: 64 });
    child.stderr.on('data', (data) => (this.log = (this.log + data).slice(-LOG_MAX)));
    this.ended = new Promise((resolve, reject) => {
      child.on('error', reject);
      child.on('close', (code, signal) => {
        children.delete(child);
        resolve(signal ?? code);
      });
    });
    this.port = await new Promise((resolve, reject) => {
      let said = '';
      child.stdout.on('data', (data) => {
        const found = /^kilnd listening on \S+:(\d+)\n/.exec((said += data));
        if (found) resolve(Number(found[1]));
      });
      this.ended.then((status) => reject(new Error(`kilnd ended with ${status}:\n${this.log}`)), reject);
    });
  }

  get alive() {
    return this.child.exitCode === null && this.child.signalCode === null;
  }

  // The processes that it has made: zygotes and workers.
  children() {
    return childrenOf(this.pid);
  }

  // Ends it; who still waits for an answer gets it. Gives its exit code, or the signal that it came by.
  async stop({ keep = false } = {}) {
    this.child.kill('SIGTERM');
    let late = false;
    const timer = setTimeout(() => {
      late = true;
      this.child.kill('SIGKILL');
    }, STOP_MS);
    const status = await this.ended;
    clearTimeout(timer);
    this.agent.destroy();
    if (!keep) removeFolder(this.dir);
    return late ? `SIGKILL, still there after ${STOP_MS} ms` : status;
  }
}

module.exports = { Kilnd, temporaryFolder, until };
