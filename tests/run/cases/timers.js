// SPDX-License-Identifier: MIT
'use strict';

const assert = require('assert');
const timers = require('node:timers');
const promises = require('timers/promises');
const { promisify } = require('util');

assert.strictEqual(timers.setTimeout, setTimeout);
assert.throws(() => setTimeout('code', 1), { code: 'ERR_INVALID_ARG_TYPE', name: 'TypeError' });
assert.throws(() => setImmediate(), { code: 'ERR_INVALID_ARG_TYPE' });
assert.throws(() => queueMicrotask(1), { code: 'ERR_INVALID_ARG_TYPE' });
assert.throws(() => process.nextTick(), { code: 'ERR_INVALID_ARG_TYPE' });

setImmediate(function(...args) {
  console.log('immediate', args);
  setTimeout((...rest) => {
    console.log('arguments', rest);
    next();
  }, 5, 1, 'two');
}, 3);
const timer = setTimeout(() => console.log('never'), 1);
console.log(timer.hasRef(), timer.unref().hasRef(), timer.ref().hasRef());
clearTimeout(timer);
clearTimeout(timer);
clearTimeout(undefined);
clearTimeout({});
clearTimeout(Number(setTimeout(() => console.log('never'), 1)));
// Many, out of order, half of them cleared.
function next() {
  const fired = [];
  const many = [];
  for (let i = 0; i < 200; i++) {
    const delay = 1 + ((i * 37) % 50);
    many.push(setTimeout(() => {
      fired.push({ delay, i });
      if (fired.length === 100) {
        console.log(fired.length, fired.every(({ delay: same }, j) =>
          fired.slice(0, j).every((one) => one.delay !== same || one.i < fired[j].i)));
        last();
      }
    }, delay));
  }
  for (let i = 0; i < 200; i += 2) clearTimeout(many[i]);
  many[0].refresh();
}

async function last() {
  console.log(await promisify(setTimeout)(1, 'promisified'));
  console.log(await promises.setTimeout(1, 'of promises'));
  console.log(await promises.setImmediate('immediately'));
  const controller = new AbortController();
  const waiting = promises.setTimeout(100000, 1, { signal: controller.signal });
  controller.abort();
  await assert.rejects(waiting, { name: 'AbortError', code: 'ABORT_ERR' });
  const self = setInterval(function() {
    console.log('this is the timer', this === self);
    clearInterval(this);
  }, 1);
}
