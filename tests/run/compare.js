// SPDX-License-Identifier: MIT
//
// node compare.js KILN_RUN NODE CASES [NAME...]: runs each case, a file of the folder CASES, with kiln-run and with
// official Node, and compares standard output, exit status and standard error. What a case's first lines say:
//   // flags: ...      options before the file, for both
//   // args: ...       arguments after it
//   // expect          do not run Node: NAME.out beside it has the output, its last line being "exit N"
//   // stderr: off     do not compare standard error
// Of standard error the frames of either's own code count for nothing, nor does what names the program.
'use strict';

const fs = require('fs');
const path = require('path');
const { spawnSync } = require('child_process');

const [kiln, node, cases, ...names] = process.argv.slice(2);

function normalize(text) {
  return text
    .split('\n')
    .filter((line) => !/^\s+at (?:.* \()?node:|^\(Use `node |^(?:Node\.js|Kiln) v|^\s+at (?:async )?(?:new )?[\w.]+ \(node:/.test(line))
    .join('\n')
    .replace(/file:\/\/\//g, '/')
    .replace(/\((?:node|kiln):\d+\)/g, '(PID)')
    .replace(/\n+/g, '\n')
    .replace(/ \{\n(?=  (?:code|url|requireStack))/, '\n{\n')
    .trim();
}

// Where Node's own code threw, it shows that code; kiln run shows what called it, or nothing.
const place = /^[^\n]*:\d+\n[^\n]*\n\s*\^+\n/;
function sameErrors(ours, theirs) {
  const hidden = /^node:/.test(theirs);
  const [a, b] = [ours, theirs].map((text) => normalize(hidden ? text.replace(place, '') : text));
  return same('standard error', a, b);
}

function run(program, options, file, args) {
  const result = spawnSync(program, [...options, file, ...args], {
    encoding: 'utf8',
    cwd: cases,
    timeout: 60000,
    env: { PATH: process.env.PATH, HOME: '/nonexistent', TEST_VALUE: 'from outside', ...asan() },
  });
  if (result.error) throw result.error;
  return { out: result.stdout, err: result.stderr, status: result.status ?? `signal ${result.signal}` };
}

const asan = () => Object.fromEntries(Object.entries(process.env).filter(([name]) => /SAN_OPTIONS$/.test(name)));

function same(what, ours, theirs) {
  if (ours === theirs) return true;
  console.log(`${what} differs.\n--- expected\n${theirs}\n--- kiln run\n${ours}\n---`);
  return false;
}

function check(name) {
  const file = path.join(cases, name);
  const head = fs.readFileSync(file, 'utf8').split('\n').slice(0, 8);
  const word = (key) => head.find((line) => line.startsWith(`// ${key}:`))?.slice(key.length + 4).trim() ?? '';
  const list = (key) => word(key).split(' ').filter(Boolean);
  const ours = run(kiln, ['--no-store', ...list('flags')], file, list('args'));
  if (head.includes('// expect')) {
    const wanted = fs.readFileSync(`${file}.out`, 'utf8');
    return same('what it prints', `${ours.out}${normalize(ours.err)}${ours.err ? '\n' : ''}exit ${ours.status}\n`.replaceAll(cases, '.'), wanted);
  }
  const theirs = run(node, list('flags'), file, list('args'));
  return [
    same('standard output', ours.out, theirs.out),
    same('exit status', ours.status, theirs.status),
    word('stderr') === 'off' || sameErrors(ours.err, theirs.err),
  ].every(Boolean);
}

const all = names.length > 0 ? names : fs.readdirSync(cases).filter((name) => /\.(js|mjs|cjs)$/.test(name)).sort();
const failed = [];
for (const name of all) {
  let good = false;
  try {
    good = check(name);
  } catch (error) {
    console.log(error.stack);
  }
  if (!good) {
    failed.push(name);
    console.log(`FAILED: ${name}\n`);
  }
}
console.log(`${Math.floor((100 * (all.length - failed.length)) / all.length)}%: Checks: ${all.length}, Failures: ${failed.length}, Errors: 0`);
for (const name of failed) console.log(`failed: ${name}`);
process.exitCode = failed.length > 0 || all.length === 0 ? 1 : 0;
