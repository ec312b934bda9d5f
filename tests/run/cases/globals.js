// SPDX-License-Identifier: MIT
'use strict';

console.log(Object.keys(globalThis).filter((name) => !['fetch', 'structuredClone'].includes(name)).join());
console.log(global === globalThis, Object.prototype.toString.call(globalThis), typeof process, typeof Buffer, typeof URL);
globalThis.Buffer = 5;
console.log(Buffer);
setTimeout = 6;
console.log(setTimeout, performance.now() > 0, performance.timeOrigin > 1e12);
console.log(require('worker_threads').isMainThread, require('perf_hooks').performance === performance);
console.log(require('url').fileURLToPath('file:///a%20b/c'), require('url').pathToFileURL('/a b#c?').href, new URL('./x.mjs', 'file:///a/b/c.js').href);
console.log(require('v8').getHeapStatistics().number_of_native_contexts > 0, require('v8').getHeapSpaceStatistics().length > 4, require('v8').cachedDataVersionTag());
const target = new EventTarget();
target.addEventListener('x', (event) => console.log(event.type, event.target === target), { once: true });
console.log(target.dispatchEvent(new Event('x')), target.dispatchEvent(new Event('x')));
const controller = new AbortController();
controller.signal.addEventListener('abort', () => console.log('aborted', controller.signal.aborted, controller.signal.reason.name));
controller.abort();
controller.abort();
