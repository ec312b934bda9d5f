// SPDX-License-Identifier: MIT
//
// fuzz.js NODE [COUNT [SEED]]: damages a baked folder COUNT times (bits, ends, swapped ranges, files) and lets a program
// start from each, in a worker thread with the loader. It must work as without; and each blob that the loader says it
// gives to V8 must be one that was baked for that very file.
'use strict';

const { spawnSync } = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { LOADER, engineOf, record, sha256 } = require('./baker.js');

const FILES = {
  'main.js': `const a = require('./a.js'), b = require('./b.js'), c = require('./c.js');
    const answer = JSON.stringify([a.sum([1, 2, 3]), b(7), c.name, new c.Shape(3).area()]);
    const { parentPort } = require('worker_threads');
    if (parentPort) parentPort.postMessage(answer); else console.log(answer);`,
  'a.js': 'exports.sum = (list) => list.reduce((x, y) => x + y, 0); // ä',
  'b.js': 'function fib(n) { return n < 2 ? n : fib(n - 1) + fib(n - 2); }\nmodule.exports = fib;',
  'c.js': 'class Shape { #r; constructor(r) { this.#r = r; } area() { return this.#r ** 2; } }\n' +
    'module.exports = { name: "c", Shape };',
};

// Runs on the node under test: a worker for each line of its input, { folder }; answers on stdout.
const DRIVER = `
  const { Worker } = require('worker_threads');
  const [loader, main, list] = process.argv.slice(2);
  const folders = require('fs').readFileSync(list, 'utf8').split('\\n').filter(Boolean);
  let at = 0;
  function next() {
    if (at === folders.length) return;
    const folder = folders[at++];
    let answer = 'none';
    const worker = new Worker(main, { execArgv: ['--require', loader], env: { KILN_BAKED: folder, KILN_DEBUG: '1' } });
    const id = worker.threadId;
    worker.on('message', (message) => { answer = message; });
    worker.on('error', (error) => { answer = 'error ' + error.message; });
    worker.on('exit', () => { console.log(JSON.stringify([folder, id, answer])); next(); });
  }
  next();`;

let state;
function random(limit) {
  state ^= state << 13;
  state ^= state >>> 17;
  state ^= state << 5;
  return (state >>> 0) % limit;
}

function flip(bytes) {
  bytes[random(bytes.length)] ^= 1 << random(8);
  return bytes;
}
const DAMAGES = {
  bit: flip,
  bits: (bytes) => { for (let i = 0; i < 16; i++) flip(bytes); return bytes; },
  truncated: (bytes) => bytes.subarray(0, random(bytes.length)),
  extended: (bytes) => Buffer.concat([bytes, Buffer.alloc(1 + random(64), random(256))]),
  swapped: (bytes) => {
    const length = 1 + random(bytes.length >> 2);
    const from = random(bytes.length - length);
    const to = random(bytes.length - length);
    const was = Buffer.from(bytes.subarray(from, from + length));
    bytes.copyWithin(from, to, to + length);
    was.copy(bytes, to);
    return bytes;
  },
  shifted: (bytes) => Buffer.concat([bytes.subarray(random(bytes.length >> 1)), bytes.subarray(0, 16)]),
  zeroed: (bytes) => { const at = random(bytes.length); return bytes.fill(0, at, Math.min(bytes.length, at + 1 + random(256))); },
};
const WEIGHTED = ['bit', 'bit', 'bit', 'bit', 'bit', 'bit', 'bits', 'truncated', 'extended', 'swapped', 'shifted', 'zeroed'];

function main(node, count, seed) {
  state = seed;
  const home = fs.realpathSync(fs.mkdtempSync(path.join(os.tmpdir(), 'kiln-fuzz-')));
  const problems = [];
  const kinds = {};
  const reasons = {};
  let offered = 0;
  let untouched = 0;
  try {
    const root = path.join(home, 'app');
    fs.mkdirSync(root);
    for (const [name, text] of Object.entries(FILES)) fs.writeFileSync(path.join(root, name), text);
    const program = path.join(root, 'main.js');
    const out = path.join(home, 'good');
    const { folder, items } = record(node, [program], { out, root, env: { PATH: process.env.PATH } });
    const good = new Map(items.map((item) => [item.filename, sha256(item.blob)]));
    const plain = spawnSync(node, [program], { encoding: 'utf8' }).stdout.trim();
    const engine = path.basename(folder);
    const pack = fs.readdirSync(folder).find((name) => name.startsWith('pack-'));
    const files = { index: fs.readFileSync(path.join(folder, 'index')), [pack]: fs.readFileSync(path.join(folder, pack)) };
    fs.writeFileSync(path.join(home, 'driver.js'), DRIVER);

    for (let done = 0; done < count;) {
      const batch = [];
      for (; batch.length < 250 && done < count; done++) {
        const name = random(3) === 0 ? 'index' : pack;
        const kind = WEIGHTED[random(WEIGHTED.length)];
        const damaged = DAMAGES[kind](Buffer.from(files[name]));
        // Some of it changes nothing: swapped ranges may be equal.
        if (damaged.equals(files[name])) untouched++;
        kinds[`${name === 'index' ? 'index' : 'pack'} ${kind}`] = (kinds[`${name === 'index' ? 'index' : 'pack'} ${kind}`] ?? 0) + 1;
        const target = path.join(home, `f${done}`);
        fs.mkdirSync(path.join(target, engine), { recursive: true });
        // The index names its root relative to the folder.
        for (const one of Object.keys(files)) fs.writeFileSync(path.join(target, engine, one), one === name ? damaged : files[one]);
        batch.push(target);
      }
      fs.writeFileSync(path.join(home, 'list'), batch.join('\n'));
      const ran = spawnSync(node, [path.join(home, 'driver.js'), LOADER, program, path.join(home, 'list')],
        { encoding: 'utf8', env: { PATH: process.env.PATH }, maxBuffer: 1 << 28 });
      const answers = ran.stdout.split('\n').filter(Boolean).map((line) => JSON.parse(line));
      if (ran.status !== 0 || answers.length !== batch.length) {
        problems.push(`the driver ended with ${ran.status} ${ran.signal} after ${answers.length} of ${batch.length}`);
      }
      for (const [target, , answer] of answers) {
        if (answer !== plain) problems.push(`${target}: ${answer}`);
      }
      for (const line of ran.stderr.split('\n')) {
        const offer = /: offered '(.*)': ([0-9a-f]{64})$/.exec(line);
        if (offer !== null) {
          offered++;
          if (good.get(offer[1]) !== offer[2]) problems.push(`offered to V8: ${line}`);
        }
        const why = /: rejected '.*': (.*)$/.exec(line) ?? /: no engine is this node; [^:]*: (.*)$/.exec(line);
        if (why !== null) {
          const reason = why[1].replace(/\d+/g, 'N').replace(/[^ -~]+/g, '?').slice(0, 50);
          reasons[reason] = (reasons[reason] ?? 0) + 1;
        }
      }
      for (const target of batch) fs.rmSync(target, { recursive: true });
    }
  } finally {
    fs.rmSync(home, { recursive: true });
  }
  for (const problem of problems.slice(0, 20)) console.log(`not ok - ${problem}`);
  console.log(Object.entries(kinds).map(([k, n]) => `${k} ${n}`).join(', '));
  console.log(Object.entries(reasons).sort((a, b) => b[1] - a[1]).slice(0, 12).map(([k, n]) => `  ${n} ${k}`).join('\n'));
  console.log(`node ${engineOf(node).nodeVersion}: ${count} damaged folders (${untouched} of them as they were), seed ${seed}, ` +
    `${offered} blobs offered to V8, ${problems.length} problems`);
  if (offered === 0) console.log('not ok - nothing at all was offered');
  process.exitCode = problems.length === 0 && offered > 0 ? 0 : 1;
}

main(path.resolve(process.argv[2]), Number(process.argv[3] ?? 2000), Number(process.argv[4] ?? 20261121) | 1);
