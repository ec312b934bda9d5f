// SPDX-License-Identifier: MIT
//
// Has this Node load each baked bundle with and without its blob and prints the table of ./run:
//   node report.js LIST
// LIST has a line per bundle: name, mode, file, blob, and what it requires, separated by tabs. Each load is a process
// of its own; those with and without alternate. Exits with 1 if a blob was rejected or a load became no faster.
'use strict';

const fs = require('fs');
const path = require('path');
const { execFileSync } = require('child_process');

const ROUNDS = 7;
// On a machine that is busy with something else, 7 may say nothing: then it is 7 more.
const ROUNDS_MAX = 28;

const median = (numbers) => [...numbers].sort((a, b) => a - b)[numbers.length >> 1];
const kib = (bytes) => Math.round(bytes / 1024).toLocaleString('en');

function load(file, blob, requires) {
  const args = [path.join(__dirname, 'load.js'), file, blob, ...requires];
  return JSON.parse(execFileSync(process.execPath, args, { encoding: 'utf8' }));
}

function measure(line) {
  const [name, mode, file, blob, ...requires] = line.split('\t');
  const without = [];
  const withBlob = [];
  let rejected = false;
  const faster = () => median(withBlob) < median(without);
  for (let round = 0; round < ROUNDS || (round < ROUNDS_MAX && (round % ROUNDS > 0 || !faster())); round++) {
    without.push(load(file, '', requires).ms);
    const loaded = load(file, blob, requires);
    withBlob.push(loaded.ms);
    rejected ||= loaded.rejected !== false;
  }
  return {
    name,
    mode,
    source: fs.statSync(file).size,
    blob: fs.statSync(blob).size,
    without: median(without),
    with: median(withBlob),
    rejected,
  };
}

const heads = ['bundle', 'source KiB', 'blob KiB', 'mode', 'load ms', 'with blob', 'ratio', 'cachedDataRejected'];
const widths = heads.map((head, column) => Math.max(head.length, column === 0 ? 11 : 6));
function print(cells) {
  const left = (column) => column === 0 || column === 3;
  const padded = cells.map((cell, i) => (left(i) ? cell.padEnd(widths[i]) : cell.padStart(widths[i])));
  console.log(padded.join('  '));
}

const lines = fs.readFileSync(process.argv[2], 'utf8').trim().split('\n');
console.log(`official Node ${process.version}, V8 ${process.versions.v8}; medians of at least ${ROUNDS} processes each\n`);
print(heads);
const rows = lines.map((line) => {
  const row = measure(line);
  const ratio = (row.without / row.with).toFixed(2);
  print([row.name, kib(row.source), kib(row.blob), row.mode, row.without.toFixed(1), row.with.toFixed(1), ratio,
    String(row.rejected)]);
  return row;
});

const sum = (field) => rows.reduce((total, row) => total + row[field], 0);
const rejected = rows.filter((row) => row.rejected).length;
const slower = rows.filter((row) => row.with >= row.without).length;
console.log(`\n${rows.length} bundles, ${kib(sum('source'))} KiB of source: loaded in ${sum('without').toFixed(0)} ms,` +
  ` with Kiln's ${kib(sum('blob'))} KiB in ${sum('with').toFixed(0)} ms` +
  ` (${(sum('without') / sum('with')).toFixed(2)} times as fast); ${rejected} rejected, ${slower} not faster`);
process.exitCode = rejected + slower > 0 ? 1 : 0;
