// SPDX-License-Identifier: MIT
//
// Timers and immediates. Timers are in a heap by the time they are due, then by age; C has one libuv timer, for the
// first of them.
'use strict';

const loop = internalBinding('loop');

const MAX_DELAY = 2 ** 31 - 1;

// ---- timers ---------------------------------------------------------------------------------------

const heap = [];
let lastNumber = 0;
let kept = 0; // active timers that keep the loop alive

const before = (a, b) => a.due < b.due || (a.due === b.due && a.order < b.order);

function place(state, i) {
  heap[i] = state;
  state.index = i;
}

function siftUp(state, i) {
  while (i > 0) {
    const up = (i - 1) >> 1;
    if (!before(state, heap[up])) break;
    place(heap[up], i);
    i = up;
  }
  place(state, i);
}

function siftDown(state, i) {
  for (;;) {
    let down = 2 * i + 1;
    if (down >= heap.length) break;
    if (down + 1 < heap.length && before(heap[down + 1], heap[down])) down++;
    if (!before(heap[down], state)) break;
    place(heap[down], i);
    i = down;
  }
  place(state, i);
}

function keep(change) {
  const was = kept > 0;
  kept += change;
  if (was !== kept > 0) loop.keepAlive(kept > 0);
}

function insert(state, now) {
  state.due = now + state.delay;
  state.order = lastNumber++;
  siftUp(state, heap.length);
  if (state.kept) keep(1);
  if (state.index === 0) loop.schedule(state.delay);
}

function remove(state) {
  const { index } = state;
  if (index < 0) return;
  state.index = -1;
  const last = heap.pop();
  if (last !== state) {
    if (index > 0 && before(last, heap[(index - 1) >> 1])) siftUp(last, index);
    else siftDown(last, index);
  }
  if (state.kept) keep(-1);
}

const byId = new Map(); // of those that were asked for their number
let lastId = 0;

class Timeout {
  #state;

  constructor(callback, delay, args, repeats) {
    delay = Number(delay);
    if (!(delay >= 1 && delay <= MAX_DELAY)) {
      if (delay > MAX_DELAY) {
        process.emitWarning(`${delay} does not fit into a 32-bit signed integer.\nTimeout duration was set to 1.`,
          'TimeoutOverflowWarning');
      }
      delay = 1;
    }
    this._onTimeout = callback;
    this.#state = { timeout: this, args, delay: Math.trunc(delay), repeats, kept: true, index: -1, due: 0,
      order: 0, id: 0 };
    insert(this.#state, loop.now());
  }

  static stop(timeout) {
    remove(timeout.#state);
    timeout._onTimeout = null;
    timeout.#state.repeats = false;
    if (timeout.#state.id > 0) byId.delete(timeout.#state.id);
  }

  static is(value) {
    return typeof value === 'object' && value !== null && #state in value;
  }

  ref() {
    if (!this.#state.kept) {
      this.#state.kept = true;
      if (this.#state.index >= 0) keep(1);
    }
    return this;
  }

  unref() {
    if (this.#state.kept) {
      this.#state.kept = false;
      if (this.#state.index >= 0) keep(-1);
    }
    return this;
  }

  hasRef() {
    return this.#state.kept;
  }

  refresh() {
    if (this._onTimeout === null) return this;
    remove(this.#state);
    insert(this.#state, loop.now());
    return this;
  }

  close() {
    Timeout.stop(this);
    return this;
  }

  [Symbol.toPrimitive]() {
    this.#state.id ||= ++lastId;
    byId.set(this.#state.id, this);
    return this.#state.id;
  }
}

// Runs one timer that is due; in how many ms the next one is, -1 if there is none.
function runTimer(now, runTicks) {
  const state = heap[0];
  if (state === undefined) return -1;
  if (state.due > now) return state.due - now;
  remove(state);
  try {
    state.timeout._onTimeout(...state.args); // a frame "Timeout._onTimeout", as in Node
  } finally {
    if (state.repeats && state.index < 0) insert(state, loop.now());
  }
  if (!state.repeats && state.index < 0 && state.id > 0) byId.delete(state.id);
  runTicks();
  return heap.length === 0 ? -1 : Math.max(0, heap[0].due - now);
}

function check(callback) {
  if (typeof callback !== 'function') require('internal/errors').validateFunction(callback, 'callback');
}

function setTimeout(callback, delay, ...args) {
  check(callback);
  return new Timeout(callback, delay, args, false);
}

function setInterval(callback, delay, ...args) {
  check(callback);
  return new Timeout(callback, delay, args, true);
}

function clearTimeout(timeout) {
  if (Timeout.is(timeout)) {
    Timeout.stop(timeout);
  } else if (typeof timeout === 'number' || typeof timeout === 'string') {
    const found = byId.get(Number(timeout));
    if (found) Timeout.stop(found);
  }
}

// ---- immediates -----------------------------------------------------------------------------------

let waiting = [];
let round = [];
let keptImmediates = 0;

function tell() {
  loop.immediates(waiting.length > 0, keptImmediates > 0);
}

class Immediate {
  #kept = true;
  #waits = true;
  #args;

  constructor(callback, args) {
    this._onImmediate = callback;
    this.#args = args;
    waiting.push(this);
    keptImmediates++;
    tell();
  }

  static take(immediate) {
    if (!immediate.#waits) return false;
    immediate.#waits = false;
    if (immediate.#kept) keptImmediates--;
    return true;
  }

  static run(immediate) {
    immediate._onImmediate(...immediate.#args);
  }

  static is(value) {
    return typeof value === 'object' && value !== null && #waits in value;
  }

  ref() {
    if (!this.#kept && this.#waits) {
      keptImmediates++;
      tell();
    }
    this.#kept = true;
    return this;
  }

  unref() {
    if (this.#kept && this.#waits) {
      keptImmediates--;
      tell();
    }
    this.#kept = false;
    return this;
  }

  hasRef() {
    return this.#kept;
  }
}

function setImmediate(callback, ...args) {
  check(callback);
  return new Immediate(callback, args);
}

function clearImmediate(immediate) {
  if (Immediate.is(immediate) && Immediate.take(immediate)) tell();
}

// Runs the n-th of those that waited when the round began; whether there are more.
function runImmediate(n, runTicks) {
  if (n === 0) {
    round = waiting;
    waiting = [];
    tell();
  }
  if (n >= round.length) return false;
  if (Immediate.take(round[n])) {
    tell();
    Immediate.run(round[n]);
    runTicks();
  }
  return n + 1 < round.length;
}

module.exports = {
  Immediate, Timeout, clearImmediate, clearTimeout, runImmediate, runTimer, setImmediate, setInterval, setTimeout,
};
