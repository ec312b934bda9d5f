// SPDX-License-Identifier: MIT
//
// semantics.js NODE: runs the cases of cases.js on this node, each without the loader, with --require, and where it
// matters with --import, and compares stdout, stderr and exit code. Frames of Node's own loader and of ours, which
// stand in each other's place, are left out of stack traces.
'use strict';

const { spawnSync } = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { pathToFileURL } = require('node:url');
const { LOADER, engineOf, record } = require('./baker.js');

const node = path.resolve(process.argv[2]);
const major = Number(engineOf(node).nodeVersion.split('.')[0]);
const only = process.argv[3];
const cases = require('./cases.js');
let checks = 0;
let failures = 0;

function check(what, seen, wanted) {
  checks++;
  if (seen === wanted) return;
  failures++;
  console.log(`not ok - node ${major}: ${what}\n  seen:   ${JSON.stringify(seen)}\n  wanted: ${JSON.stringify(wanted)}`);
}

const clean = (text) => text.split('\n')
  .filter((line) => !/^ +at .*(?:\(|at )(?:node:internal\/|file:.*toolkit\/node\/|.*toolkit\/node\/|node:diagnostics_channel)/.test(line))
  .join('\n').replace(/\(node:\d+\)/g, '(node:PID)').replace(/^node:internal\/.*:\d+$/gm, 'node:internal')
  .replace(/127\.0\.0\.1:\d+\/[-0-9a-f]+/g, 'ADDRESS');

function write(root, files) {
  for (const [name, text] of Object.entries(files)) {
    fs.mkdirSync(path.dirname(path.join(root, name)), { recursive: true });
    fs.writeFileSync(path.join(root, name), text);
  }
}

const home = fs.realpathSync(fs.mkdtempSync(path.join(os.tmpdir(), 'kiln-node-')));
try {
  let number = 0;
  for (const [name, one] of Object.entries(cases)) {
    if ((one.since ?? 0) > major || (only !== undefined && !name.includes(only))) continue;
    const root = path.join(home, `case-${++number}`);
    const out = path.join(home, `baked-${number}`);
    write(root, one.files);
    if (one.link) fs.symlinkSync(path.join(root, one.link[1]), path.join(root, one.link[0]));
    const main = path.join(root, one.main ?? Object.keys(one.files)[0]);
    // Short main scripts are left to Node.
    fs.appendFileSync(main, `\n//${'-'.repeat(16 * 1024)}\n`);
    const env = { PATH: process.env.PATH, TMPDIR: home, ...one.env };
    try {
      record(node, [...one.record ?? [], main], { out, root, cwd: root, env });
    } catch {
      // Nothing of it is CommonJS.
    }
    write(root, one.change ?? {});
    const access = one.permission ?
      [major < 24 ? '--experimental-permission' : '--permission', `--allow-fs-read=${root}/*`,
        `--allow-fs-read=${path.dirname(LOADER)}/*`] : [];
    const start = (loader, more) => spawnSync(node, [...access, ...one.before ?? [], ...one.flags ?? [],
      ...one.options ? [] : loader, main, ...one.args ?? []],
    { cwd: root, encoding: 'utf8', env: { ...env, ...more, ...one.options ? { NODE_OPTIONS: loader.join(' ') } : {} } });

    const plain = start([], {});
    // With --import Node loads the main script in another way, with or without us.
    const imported = major >= 18 ? start(['--import', 'data:text/javascript,'], {}) : null;
    const ways = [['--require', ['--require', LOADER]]];
    if (major >= 18) ways.push(['--import', ['--import', pathToFileURL(LOADER.replace(/js$/, 'mjs')).href]]);
    for (const [way, loader] of ways) {
      const folder = one.removes ? `${out}-${way}` : out;
      if (one.removes) fs.cpSync(out, folder, { recursive: true });
      const ours = start(loader, { KILN_BAKED: folder });
      const wanted = way === '--require' ? plain : imported;
      check(`${name} (${way}): stdout`, clean(ours.stdout), clean(wanted.stdout));
      if (!one.ignoreStderr) check(`${name} (${way}): stderr`, clean(ours.stderr), clean(wanted.stderr));
      check(`${name} (${way}): exit code`, ours.status, wanted.status);
    }
    if (one.status !== undefined) check(`${name}: status`, plain.status, one.status);

    const folder = one.removes ? `${out}-debug` : out;
    if (one.removes) fs.cpSync(out, folder, { recursive: true });
    const debug = start(['--require', LOADER], { KILN_BAKED: folder, KILN_DEBUG: '1' });
    const used = debug.stderr.split('\n').filter((line) => /^kiln(?: \(thread \d+\))?: used /.test(line)).length;
    if (one.permission) check(`${name}: nothing used`, used, 0);
    else if (typeof one.uses === 'number') check(`${name}: files used of blobs`, used, one.uses);
    else if (one.uses === undefined) check(`${name}: any file used of a blob`, used > 0, true);
    if (process.env.VERBOSE) console.log(`${name}\n${debug.stderr}${debug.stdout}`);
  }
} finally {
  fs.rmSync(home, { recursive: true });
}
console.log(`node ${engineOf(node).nodeVersion}: ${checks} checks, ${failures} failures`);
process.exitCode = failures === 0 && checks > 0 ? 0 : 1;
