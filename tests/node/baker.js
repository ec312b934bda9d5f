// SPDX-License-Identifier: MIT
//
// Bakes folders for the loader as kiln precompile --out does, with nothing but Node: to forge and to damage them.
'use strict';

const { createHash } = require('node:crypto');
const { spawnSync } = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');

const LOADER = path.resolve(__dirname, '../../toolkit/node/register.js');
const sha256 = (bytes) => createHash('sha256').update(bytes).digest('hex');

// The GNU build id, read by another way than the loader's: from the section's name on.
function buildIdOf(node) {
  const bytes = fs.readFileSync(fs.realpathSync(node));
  const mark = Buffer.from([4, 0, 0, 0, 20, 0, 0, 0, 3, 0, 0, 0, 0x47, 0x4e, 0x55, 0]);
  const at = bytes.indexOf(mark);
  return at < 0 ? '' : bytes.subarray(at + 16, at + 36).toString('hex');
}

const engines = new Map();
function engineOf(node) {
  if (!engines.has(node)) {
    const asked = spawnSync(node, ['-p', `JSON.stringify({ nodeVersion: process.versions.node,
      v8Version: process.versions.v8, cachedDataVersionTag: require('v8').cachedDataVersionTag(), arch: process.arch })`],
    { encoding: 'utf8' });
    const engine = { ...JSON.parse(asked.stdout), buildId: buildIdOf(node), flags: '' };
    engine.name = `node-${engine.nodeVersion}`;
    engine.fingerprint = sha256(JSON.stringify(engine));
    engines.set(node, engine);
  }
  return { ...engines.get(node) };
}

function indexText(engine, root, pack, packBytes, entries) {
  const body = JSON.stringify({ engine, root, pack, packBytes, entries });
  return `kiln-index 1 ${sha256(body)}\n${body}`;
}

// items: [{ file, kind, blob, source, filename, lineOffset, columnOffset }]. Answers the folder of the engine.
function writeFolder(out, engine, root, items) {
  const folder = path.join(out, engine.name);
  fs.mkdirSync(folder, { recursive: true });
  const parts = [];
  const entries = [];
  let offset = 0;
  for (const item of [...items].sort((a, b) => Buffer.compare(Buffer.from(a.file), Buffer.from(b.file)))) {
    entries.push([item.file, item.kind, 'workload', sha256(item.source), item.source.length, offset, item.blob.length,
      sha256(item.blob), item.filename, item.lineOffset, item.columnOffset]);
    const padding = Buffer.alloc((8 - item.blob.length % 8) % 8);
    parts.push(item.blob, padding);
    offset += item.blob.length + padding.length;
  }
  const bytes = Buffer.concat(parts);
  const pack = `pack-${sha256(bytes).slice(0, 16)}`;
  fs.writeFileSync(path.join(folder, pack), bytes);
  fs.writeFileSync(path.join(folder, 'index'), indexText(engine, path.relative(out, root), pack, bytes.length, entries));
  return folder;
}

// Runs a program on `node` in record mode and bakes what it recorded below `root`.
function record(node, args, { out, root, cwd, env, all = [] }) {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'kiln-record-'));
  const items = new Map(all.map((item) => [item.file, item]));
  try {
    const ran = spawnSync(node, ['--require', LOADER, ...args],
      { cwd, encoding: 'utf8', env: { ...env, KILN_RECORD: folder } });
    for (const name of fs.readdirSync(folder).filter((name) => name.endsWith('.json'))) {
      for (const line of fs.readFileSync(path.join(folder, name), 'utf8').split('\n').filter(Boolean)) {
        const one = JSON.parse(line);
        const file = path.relative(root, one.file);
        if (file.startsWith('..')) continue;
        items.set(file, { file, kind: one.kind, blob: fs.readFileSync(path.join(folder, one.blob)),
          source: fs.readFileSync(one.file), filename: one.file, lineOffset: one.lineOffset,
          columnOffset: one.columnOffset });
      }
    }
    if (ran.status !== 0 && items.size === 0) throw new Error(`${node} ${args.join(' ')}: ${ran.stderr}`);
  } finally {
    fs.rmSync(folder, { recursive: true });
  }
  const list = [...items.values()];
  return { folder: writeFolder(out, engineOf(node), root, list), items: list };
}

module.exports = { LOADER, engineOf, indexText, record, sha256, writeFolder };

if (require.main === module) {
  const [node, out, damaged, root, ...args] = process.argv.slice(2);
  const { folder, items } = record(node, args, { out, root, env: process.env });
  const wrong = items.map((item) => ({ ...item, blob: Buffer.from(item.blob).fill(1, item.blob.length >> 1) }));
  const index = fs.readFileSync(path.join(folder, 'index'), 'utf8');
  // The same index, but every blob of the pack it names is damaged.
  const copy = writeFolder(damaged, engineOf(node), root, wrong);
  for (const name of fs.readdirSync(copy)) {
    if (name.startsWith('pack-')) fs.renameSync(path.join(copy, name), path.join(copy, JSON.parse(index.split('\n')[1]).pack));
  }
  fs.writeFileSync(path.join(copy, 'index'), index);
  console.log(`${items.length} files, ${items.reduce((sum, item) => sum + item.blob.length, 0)} bytes`);
}
