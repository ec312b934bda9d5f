// SPDX-License-Identifier: MIT
'use strict';

const EventEmitter = require('events');
const { once, on } = EventEmitter;
class Mine extends EventEmitter {}
const emitter = new Mine();
console.log(EventEmitter.EventEmitter === EventEmitter, emitter.emit('x'), emitter.listenerCount('x'));
const log = (word) => function(...args) { console.log(word, args, this === emitter); };
const first = log('first');
emitter.on('newListener', (name) => console.log('new', name));
emitter.on('x', first).once('x', log('once')).prependListener('x', log('before'));
emitter.emit('x', 1, 2);
emitter.emit('x');
emitter.off('x', first);
emitter.emit('x', 'after');
emitter.on('y', function self() { emitter.off('y', self); console.log('y once'); });
emitter.on('y', () => console.log('y twice'));
emitter.emit('y');
emitter.emit('y');
console.log(emitter.eventNames(), emitter.rawListeners('y').length, emitter.getMaxListeners());
try {
  emitter.emit('error', new Error('unheard'));
} catch (error) {
  console.log(error.message);
}
try {
  emitter.emit('error', 5);
} catch (error) {
  console.log(error.code, error.message, error.context);
}
try {
  emitter.on('z', 5);
} catch (error) {
  console.log(error.code, error.message);
}
emitter.removeAllListeners();
console.log(emitter.eventNames());
(async () => {
  setTimeout(() => emitter.emit('later', 7), 1);
  console.log(await once(emitter, 'later'));
  setTimeout(() => emitter.emit('error', new Error('as error')), 1);
  console.log(await once(emitter, 'later').catch((error) => error.message));
  setTimeout(() => { emitter.emit('many', 1); emitter.emit('many', 2); }, 1);
  for await (const [value] of on(emitter, 'many')) {
    console.log(value);
    if (value === 2) break;
  }
})();
