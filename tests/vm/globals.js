// SPDX-License-Identifier: MIT
//
// Compares what data/globals.js prints under a command with what official Node prints:
//   node globals.js NODE... -- COMMAND [ARGS...]
// A line must be what one of the Nodes prints, or stand in globals.json as a difference that is intended, with its
// reason: { "kind | operation": { "kiln": "the rest of the line", "why": "..." } }. One that is listed and is none fails.
'use strict';

const { spawnSync } = require('child_process');
const fs = require('fs');
const path = require('path');

const split = process.argv.indexOf('--');
const nodes = process.argv.slice(2, split);
const [program, ...args] = process.argv.slice(split + 1);

function table(command, first) {
  const { stdout, stderr, status } = spawnSync(command, [...first, path.join(__dirname, 'data', 'globals.js')], { encoding: 'utf8', maxBuffer: 1 << 26 });
  if (status !== 0) throw new Error(`${command} ended with ${status}: ${stderr.slice(-500)}`);
  return new Map(stdout.trimEnd().split('\n').map((line) => {
    const [kind, operation, ...rest] = line.split(' | ');
    return [`${kind} | ${operation}`, rest.join(' | ').trimEnd()];
  }));
}

const ids = 'G03 G04 D17 D18 D19 CX03';
try {
  const theirs = nodes.map((node) => table(node, []));
  const ours = table(program, args);
  const intended = JSON.parse(fs.readFileSync(path.join(__dirname, 'globals.json'), 'utf8'));
  const counts = { all: 0, some: 0, intended: 0 };
  let failed = 0;
  const fail = (key, message) => {
    failed++;
    console.log(`not ok ${ids} ${key}: ${message}`);
  };
  for (const [key, line] of ours) {
    const same = theirs.filter((their) => their.get(key) === line).length;
    const listed = intended[key];
    if (same) counts[same === theirs.length ? 'all' : 'some']++;
    if (same && listed) fail(key, 'is listed as a difference, and is none');
    else if (!same && listed && listed.kiln === line) counts.intended++;
    else if (!same) fail(key, `${line}, where Node has ${[...new Set(theirs.map((their) => their.get(key)))].join(' or ')}`);
  }
  for (const key of Object.keys(intended)) if (!ours.has(key)) fail(key, 'is listed, and there is no such line');
  if (theirs.some((their) => their.size !== ours.size)) fail('size', `${ours.size} lines`);
  if (!failed) console.log(`ok ${ids} ${ours.size} cases: ${counts.all} as every Node, ${counts.some} as some Node, ${counts.intended} otherwise, as intended`);
  console.log(`${ours.size} tests, ${failed} failed`);
  process.exitCode = failed ? 1 : 0;
} catch (error) {
  console.log(`not ok ${ids} ${error.message.replace(/\n/g, ' | ')}`);
  console.log('1 tests, 1 failed');
  process.exitCode = 1;
}
