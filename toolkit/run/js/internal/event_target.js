// SPDX-License-Identifier: MIT
//
// EventTarget, Event and AbortController, as small as they can be.
'use strict';

class Event {
  #stopped = false;

  constructor(type, { cancelable = false } = {}) {
    this.type = `${type}`;
    this.cancelable = cancelable;
    this.defaultPrevented = false;
    this.target = null;
    this.timeStamp = internalBinding('process').now();
  }

  preventDefault() {
    this.defaultPrevented ||= this.cancelable;
  }

  stopImmediatePropagation() {
    this.#stopped = true;
  }

  static stopped(event) {
    return event.#stopped;
  }
}
const { stopped } = Event;
delete Event.stopped;

class EventTarget {
  #listeners = new Map();

  addEventListener(type, listener, options) {
    if (listener == null) return;
    const list = this.#listeners.get(type) ?? [];
    if (list.some((one) => one.listener === listener)) return;
    this.#listeners.set(type, [...list, { listener, once: Boolean(options?.once) }]);
  }

  removeEventListener(type, listener) {
    const list = this.#listeners.get(type);
    if (list) this.#listeners.set(type, list.filter((one) => one.listener !== listener));
  }

  dispatchEvent(event) {
    event.target = this;
    for (const { listener, once } of this.#listeners.get(event.type) ?? []) {
      if (once) this.removeEventListener(event.type, listener);
      try {
        if (typeof listener === 'function') Reflect.apply(listener, this, [event]);
        else listener.handleEvent(event);
      } catch (error) {
        require('internal/bootstrap').nextTick(() => { throw error; });
      }
      if (stopped(event)) break;
    }
    return !event.defaultPrevented;
  }
}

function defaultReason(name, message, code) {
  const error = new Error(message);
  error.name = name;
  error.code = code;
  return error;
}

class AbortSignal extends EventTarget {
  aborted = false;
  reason = undefined;
  onabort = null;

  throwIfAborted() {
    if (this.aborted) throw this.reason;
  }

  static abort(reason) {
    const controller = new AbortController();
    controller.abort(reason);
    return controller.signal;
  }

  static timeout(delay) {
    const controller = new AbortController();
    require('timers').setTimeout(() => {
      controller.abort(defaultReason('TimeoutError', 'The operation was aborted due to timeout', 23));
    }, delay).unref();
    return controller.signal;
  }
}

class AbortController {
  signal = new AbortSignal();

  abort(reason = defaultReason('AbortError', 'This operation was aborted', 20)) {
    if (this.signal.aborted) return;
    this.signal.aborted = true;
    this.signal.reason = reason;
    const event = new Event('abort');
    this.signal.onabort?.(event);
    this.signal.dispatchEvent(event);
  }
}

module.exports = { AbortController, AbortSignal, Event, EventTarget };
