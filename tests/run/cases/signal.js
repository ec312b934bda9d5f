// SPDX-License-Identifier: MIT
let n = 0;
process.on('SIGINT', (name, number) => {
  console.log('got', name, number);
  if (++n === 2) {
    process.removeAllListeners('SIGINT');
    process.kill(process.pid, 'SIGINT');
    setTimeout(() => console.log('never'), 5000);
    return;
  }
  setTimeout(() => process.kill(process.pid, 'SIGINT'), 1);
});
process.kill(process.pid, 'SIGINT');
setTimeout(() => {}, 10000);
