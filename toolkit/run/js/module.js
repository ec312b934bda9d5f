// SPDX-License-Identifier: MIT
'use strict';

const loader = require('internal/loader');
const { nodeError } = require('internal/errors');
const builtins = internalBinding('builtins');

const { Module } = loader;

function createRequire(filename) {
  const path = typeof filename === 'object' || /^file:/.test(filename) ? require('url').fileURLToPath(filename) : filename;
  if (typeof path !== 'string' || !path.startsWith('/')) {
    throw nodeError('ERR_INVALID_ARG_VALUE', 'filename', filename, 'must be a file URL object, file URL string, or absolute path string');
  }
  return loader.createRequire(path);
}

module.exports = Object.assign(Module, {
  Module,
  _cache: loader.cache,
  builtinModules: builtins.names().split(' '),
  createRequire,
  isBuiltin: (name) => builtins.has(name.replace(/^node:/, '')),
});
