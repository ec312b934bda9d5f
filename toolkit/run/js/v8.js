// SPDX-License-Identifier: MIT
'use strict';

const binding = internalBinding('v8');
const { codedError, validateString } = require('internal/errors');

// V8's flags are frozen when it starts; the one that programs set is answered without it.
function setFlagsFromString(flags) {
  validateString(flags, 'flags');
  if (/^--expose[-_]gc$/.test(flags.trim())) {
    globalThis.gc ??= function gc() { binding.collectGarbage(); };
    return;
  }
  if (/^--no-/.test(flags.trim())) return;
  throw codedError(Error, 'ERR_FEATURE_UNAVAILABLE_ON_PLATFORM',
    `V8's flags cannot be changed while it runs: give '${flags}' to kiln run`);
}

module.exports = {
  cachedDataVersionTag: () => binding.cachedDataVersionTag(),
  getHeapStatistics: () => binding.heapStatistics(),
  getHeapSpaceStatistics: () => binding.heapSpaceStatistics(),
  setFlagsFromString,
};
