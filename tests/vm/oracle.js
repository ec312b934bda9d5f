// SPDX-License-Identifier: MIT
//
// The conformance tests under official Node, the oracle of what vm does:
//   node oracle.js [-t] NODE... [-- FILE...]
// Prints which ids fail where; exits with 1 if any does. -t prints a table of all ids and binaries. `NODE` may be a
// command with blanks ("build/.../kiln-run"), to see its failures in the same way.
'use strict';

const { spawnSync } = require('child_process');
const fs = require('fs');
const path = require('path');

// The flags of a file: those after "// flags:" in its head, else all.
const FLAGS = ['--experimental-vm-modules', '--expose-gc', '--no-warnings'];
function flagsOf(file) {
  const found = fs.readFileSync(file, 'utf8').match(/^\/\/ flags:(.*)$/m);
  return found ? found[1].split(' ').filter(Boolean) : FLAGS;
}

const args = process.argv.slice(2);
const asTable = args[0] === '-t' && args.shift();
const split = args.indexOf('--');
const commands = split < 0 ? args : args.slice(0, split);
const named = split < 0 ? [] : args.slice(split + 1).map((file) => path.resolve(file));
const all = fs.readdirSync(__dirname).filter((name) => name.endsWith('.test.js')).sort().map((name) => path.join(__dirname, name));
// A file may say that Node cannot run it.
const files = named.length ? named : all.filter((file) => !/^\/\/ oracle: none/m.test(fs.readFileSync(file, 'utf8')));

const table = new Map(); // "file: ids title" -> one mark per command
let failed = 0;
commands.forEach((command, column) => {
  const [program, ...first] = command.split(' ');
  for (const file of files) {
    const area = path.basename(file, '.test.js');
    const { stdout, stderr, status, signal } = spawnSync(program, [...first, ...flagsOf(file), file], { encoding: 'utf8', timeout: 120e3, maxBuffer: 1 << 26 });
    const counts = /^(\d+) tests, (\d+) failed$/m.exec(stdout || '');
    const say = (line) => {
      failed++;
      console.log(`${command}: ${area}: ${line}`);
    };
    for (const line of (stdout || '').split('\n')) {
      const [, mark, rest] = /^(ok|not ok|skip) (.*)$/.exec(line) || [];
      if (!mark) continue;
      const key = `${area}: ${rest.replace(/(: (?:Error|\w*Error).*| \([^()]*\))$/, '').slice(0, 90)}`;
      if (!table.has(key)) table.set(key, []);
      table.get(key)[column] = { ok: '+', skip: 's', 'not ok': 'F' }[mark];
      if (mark === 'not ok') say(line);
    }
    if (!counts || (status !== 0 && counts[2] === '0')) say(`ended with ${status} ${signal || ''}: ${(stderr || '').slice(-800)}`);
  }
});
if (asTable) {
  commands.forEach((command, i) => console.log(`${i + 1}: ${command}`));
  for (const [key, marks] of table) console.log(commands.map((_, i) => marks[i] || '-').join(' '), key);
}
const count = (mark) => [...table.values()].reduce((sum, marks) => sum + marks.filter((m) => m === mark).length, 0);
console.log(`oracle: ${count('+')} passed, ${count('s')} skipped, ${failed} failed`);
process.exitCode = failed || count('+') === 0 ? 1 : 0;
