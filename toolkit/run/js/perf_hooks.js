// SPDX-License-Identifier: MIT
'use strict';

const binding = internalBinding('process');

const started = binding.now();
const origin = Date.now();

const performance = {
  timeOrigin: origin,
  now: () => binding.now() - started,
  toJSON: () => ({ timeOrigin: origin }),
  mark: (name) => ({ name, entryType: 'mark', startTime: performance.now(), duration: 0 }),
  get [Symbol.toStringTag]() { return 'Performance'; },
};

module.exports = { performance };
