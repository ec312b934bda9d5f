// SPDX-License-Identifier: MIT
'use strict';

// A thousand at once, and exceptions on the way.
let count = 0;
process.on('uncaughtException', (error) => console.log('taken', error.message));
for (let i = 0; i < 1000; i++) setTimeout(() => count++, i % 7);
setTimeout(() => { throw new Error('of a timer'); }, 30);
setImmediate(() => { throw new Error('of an immediate'); });
setImmediate(() => console.log('the next immediate'));
process.nextTick(() => { throw new Error('of a tick'); });
process.nextTick(() => console.log('the next tick'));
queueMicrotask(() => { throw new Error('of a microtask'); });
setTimeout(() => console.log(count), 50);
