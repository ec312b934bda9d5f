// SPDX-License-Identifier: MIT
//
// Runs sigint_child.js and sends it SIGINT whenever it prints "ready": node sigint.js COMMAND [ARGS...]
'use strict';

const { spawn } = require('child_process');
const path = require('path');

const [program, ...args] = process.argv.slice(2);
const child = spawn(program, [...args, path.join(__dirname, 'sigint_child.js')], { stdio: ['ignore', 'pipe', 'inherit'] });
const deadline = setTimeout(() => {
  console.log('not ok RC07 an interrupt did not arrive');
  child.kill('SIGKILL');
}, 60e3);
let rest = '';
child.stdout.on('data', (data) => {
  const lines = (rest + data).split('\n');
  rest = lines.pop();
  for (const line of lines) {
    if (line === 'ready') child.kill('SIGINT');
    else console.log(line);
  }
});
child.on('close', (status, signal) => {
  clearTimeout(deadline);
  if (signal) console.log(`not ok RC07 RC08 the program died of ${signal}`);
  process.exitCode = status === 0 ? 0 : 1;
});
