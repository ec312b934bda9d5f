// SPDX-License-Identifier: MIT
'use strict';

Promise.reject(1).catch(() => console.log('caught'));
process.nextTick(() => console.log('tick'));
queueMicrotask(() => {
  console.log('micro');
  process.nextTick(() => console.log('tick of micro'));
  queueMicrotask(() => console.log('micro of micro'));
});
Promise.resolve().then(() => console.log('then'));
process.nextTick(() => {
  console.log('tick 2');
  queueMicrotask(() => console.log('micro of tick'));
  process.nextTick(() => console.log('tick of tick'));
});
console.log('main');
let n = 0;
const interval = setInterval(() => {
  if (++n === 3) {
    clearInterval(interval);
    setTimeout(afterInterval, 1);
  }
  console.log('interval', n);
}, 5);
function afterInterval() {
  setTimeout(() => {
    console.log('a');
    process.nextTick(() => console.log('tick of a'));
    Promise.resolve().then(() => console.log('then of a'));
  }, 3);
  setTimeout(() => console.log('b'), 3);
  setTimeout(immediates, 10);
}
setTimeout(() => console.log('never'), 100000).unref();
function immediates() {
  setImmediate(() => {
    console.log('immediate 1');
    process.nextTick(() => console.log('tick of immediate'));
    setImmediate(() => {
      console.log('immediate 3');
      setTimeout(() => console.log('after the immediates'), 1);
    });
  });
  const cleared = setImmediate(() => console.log('never'));
  setImmediate(() => console.log('immediate 2'));
  clearImmediate(cleared);
}
process.on('beforeExit', () => {
  if (n++ === 3) setTimeout(() => console.log('revived'), 1);
  console.log('beforeExit');
});
process.on('exit', (code) => console.log('exit', code));
