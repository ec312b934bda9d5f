// SPDX-License-Identifier: MIT
//
// What node:vm says to arguments of every kind, beside what Node says: node arguments.js NODE COMMAND [ARGS...]
// The oracle is the newest Node; every difference is an error.
'use strict';

const { spawnSync } = require('child_process');
const path = require('path');

const cases = path.join(__dirname, 'argument_cases.js');
const LEAST = 2000;
const IDS = 'SC08 SC19 RC02 RC06 RN07 RN08 CF11 CC05 CC13 IC02 ME09 ML11 ML16 ST16 SY02 MM10 VR07';

function ask(program, ...args) {
  const { stdout, stderr, status, error } = spawnSync(
    program, [...args, '--no-warnings', '--experimental-vm-modules', cases],
    { encoding: 'utf8', timeout: 120e3, maxBuffer: 1 << 26, killSignal: 'SIGKILL' });
  if (status !== 0) throw error ?? new Error(`${program} ended with ${status}: ${stderr}`);
  return stdout.trimEnd().split('\n');
}

const [oracle, ...command] = process.argv.slice(2);
const node = ask(oracle);
const kiln = ask(...command);
const wrong = node.flatMap((line, i) => (line === kiln[i] ? [] : [`Node: ${line}\n    Kiln: ${kiln[i]}`]));
if (node.length < LEAST || node.length !== kiln.length) wrong.push(`${node.length} and ${kiln.length} answers`);
if (wrong.length > 0) {
  console.log(`not ok ${IDS} arguments and options: ${wrong.length} of ${node.length} differ`);
  for (const line of wrong.slice(0, 50)) console.log(`    ${line}`);
  process.exitCode = 1;
} else {
  console.log(`ok ${IDS} ${node.length} calls with arguments and options of every kind answer as Node's do`);
}
console.log(`1 tests, ${process.exitCode ?? 0} failed`);
