// SPDX-License-Identifier: MIT
'use strict';

const timers = require('internal/timers');
const { codedError } = require('internal/errors');

function abortError(signal) {
  const error = codedError(Error, 'ABORT_ERR', 'The operation was aborted');
  error.name = 'AbortError';
  error.cause = signal.reason;
  return error;
}

// start(done) gives the timer, stop(timer) ends it.
function promise(start, stop, value, { signal, ref = true } = {}) {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) {
      reject(abortError(signal));
      return;
    }
    let onAbort;
    const timer = start(() => {
      if (onAbort) signal.removeEventListener('abort', onAbort);
      resolve(value);
    });
    if (!ref) timer.unref();
    if (signal) {
      onAbort = () => {
        stop(timer);
        reject(abortError(signal));
      };
      signal.addEventListener('abort', onAbort, { once: true });
    }
  });
}

const setTimeout = (delay, value, options) =>
  promise((done) => timers.setTimeout(done, delay), timers.clearTimeout, value, options);
const setImmediate = (value, options) => promise(timers.setImmediate, timers.clearImmediate, value, options);

async function* setInterval(delay, value, options) {
  for (;;) yield await setTimeout(delay, value, options);
}

module.exports = {
  setImmediate, setInterval, setTimeout,
  scheduler: { wait: (delay, options) => setTimeout(delay, undefined, options), yield: () => setImmediate() },
};
