// SPDX-License-Identifier: MIT
'use strict';

const { clearImmediate, clearTimeout, setImmediate, setInterval, setTimeout } = require('internal/timers');

const custom = Symbol.for('nodejs.util.promisify.custom');
for (const [callee, name] of [[setTimeout, 'setTimeout'], [setImmediate, 'setImmediate']]) {
  Object.defineProperty(callee, custom, { get: () => require('timers/promises')[name], configurable: true });
}

function clearInterval(timeout) {
  clearTimeout(timeout);
}

module.exports = {
  clearImmediate, clearInterval, clearTimeout, setImmediate, setInterval, setTimeout,
  get promises() { return require('timers/promises'); },
};
