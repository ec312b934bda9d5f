// SPDX-License-Identifier: MIT
//
// EventEmitter, with once() and on() of the module.
'use strict';

const { nodeError, validateFunction, validateInteger } = require('internal/errors');

function EventEmitter() {
  EventEmitter.init.call(this);
}

EventEmitter.init = function() {
  if (this._events === undefined || this._events === Object.getPrototypeOf(this)._events) {
    this._events = Object.create(null);
  }
};

Object.assign(EventEmitter.prototype, {
  _events: undefined,
  _maxListeners: undefined,

  emit(type, ...args) {
    const list = this._events?.[type];
    if (list === undefined) {
      if (type !== 'error') return false;
      if (args[0] instanceof Error) throw args[0];
      const error = nodeError('ERR_UNHANDLED_ERROR', require('util').inspect(args[0]));
      error.context = args[0];
      throw error;
    }
    for (const listener of [...list]) Reflect.apply(listener, this, args);
    return true;
  },

  on(type, listener) {
    return add(this, type, listener, false);
  },

  prependListener(type, listener) {
    return add(this, type, listener, true);
  },

  once(type, listener) {
    validateFunction(listener, 'listener');
    return add(this, type, onceWrapper(this, type, listener), false);
  },

  prependOnceListener(type, listener) {
    validateFunction(listener, 'listener');
    return add(this, type, onceWrapper(this, type, listener), true);
  },

  off(type, listener) {
    validateFunction(listener, 'listener');
    const list = this._events?.[type];
    if (list === undefined) return this;
    const index = list.findLastIndex((one) => one === listener || one.listener === listener);
    if (index < 0) return this;
    if (list.length === 1) delete this._events[type];
    else this._events[type] = list.filter((_, i) => i !== index);
    if (this._events.removeListener) this.emit('removeListener', type, list[index].listener ?? list[index]);
    return this;
  },

  removeAllListeners(type) {
    const types = type === undefined ? Reflect.ownKeys(this._events ?? {}) : [type];
    for (const one of types) {
      for (const listener of [...(this._events?.[one] ?? [])].reverse()) this.off(one, listener);
    }
    return this;
  },

  listeners(type) {
    return (this._events?.[type] ?? []).map((one) => one.listener ?? one);
  },

  rawListeners(type) {
    return [...(this._events?.[type] ?? [])];
  },

  listenerCount(type) {
    return this._events?.[type]?.length ?? 0;
  },

  eventNames() {
    return Reflect.ownKeys(this._events ?? {});
  },

  setMaxListeners(count) {
    this._maxListeners = count;
    return this;
  },

  getMaxListeners() {
    return this._maxListeners ?? EventEmitter.defaultMaxListeners;
  },
});
EventEmitter.prototype.addListener = EventEmitter.prototype.on;
EventEmitter.prototype.removeListener = EventEmitter.prototype.off;

function add(emitter, type, listener, first) {
  validateFunction(listener, 'listener');
  if (emitter._events === undefined) EventEmitter.init.call(emitter);
  if (emitter._events.newListener) emitter.emit('newListener', type, listener.listener ?? listener);
  const list = emitter._events[type] ?? [];
  emitter._events[type] = first ? [listener, ...list] : [...list, listener];
  return emitter;
}

function onceWrapper(emitter, type, listener) {
  const wrapper = (...args) => {
    emitter.off(type, wrapper);
    return Reflect.apply(listener, emitter, args);
  };
  wrapper.listener = listener;
  return wrapper;
}

// A promise of the next event's arguments.
function once(emitter, name) {
  return new Promise((resolve, reject) => {
    if (typeof emitter.addEventListener === 'function') {
      emitter.addEventListener(name, (event) => resolve([event]), { once: true });
      return;
    }
    const onError = (error) => {
      emitter.off(name, onEvent);
      reject(error);
    };
    const onEvent = (...args) => {
      emitter.off('error', onError);
      resolve(args);
    };
    emitter.once(name, onEvent);
    if (name !== 'error') emitter.once('error', onError);
  });
}

// An asynchronous iterator of a name's events.
async function* on(emitter, name) {
  const events = [];
  let wake;
  emitter.on(name, (...args) => {
    events.push(args);
    wake?.();
  });
  for (;;) {
    while (events.length > 0) yield events.shift();
    await new Promise((resolve) => { wake = resolve; });
  }
}

let defaultMaxListeners = 10;
Object.defineProperty(EventEmitter, 'defaultMaxListeners', {
  get: () => defaultMaxListeners,
  set(count) {
    validateInteger(count, 'defaultMaxListeners', 0);
    defaultMaxListeners = count;
  },
  enumerable: true,
});

module.exports = Object.assign(EventEmitter, { EventEmitter, on, once });
