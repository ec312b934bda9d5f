// SPDX-License-Identifier: MIT
// flags: --expose-gc --expose_gc
console.log(typeof gc, gc());
const ref = new WeakRef({ a: 1 });
globalThis.registry = new FinalizationRegistry((held) => {
  console.log('finalised', held);
  clearInterval(waiting);
});
(() => registry.register({}, 'it'))();
const waiting = setInterval(gc, 1);
