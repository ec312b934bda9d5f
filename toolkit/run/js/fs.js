// SPDX-License-Identifier: MIT
//
// fs: the few synchronous functions that scripts and tests begin with.
'use strict';

const files = internalBinding('files');
const { nodeError } = require('internal/errors');

function pathOf(value, name = 'path') {
  if (typeof value === 'string') return value;
  if (value?.protocol === 'file:') return require('url').fileURLToPath(value);
  if (ArrayBuffer.isView(value)) return require('buffer').Buffer.from(value).toString();
  throw nodeError('ERR_INVALID_ARG_TYPE', name, ['string', 'Buffer', 'URL'], value);
}

const encodingOf = (options) => (typeof options === 'string' ? options : options?.encoding);

function readFileSync(path, options) {
  const encoding = encodingOf(options);
  if (encoding && /^utf-?8$/i.test(encoding)) return files.readText(pathOf(path));
  const { Buffer } = require('buffer');
  const bytes = Buffer.from(files.readBytes(pathOf(path)).buffer);
  return encoding ? bytes.toString(encoding) : bytes;
}

function write(path, data, options, append) {
  if (typeof data !== 'string' && !ArrayBuffer.isView(data)) {
    throw nodeError('ERR_INVALID_ARG_TYPE', 'data', ['string', 'Buffer', 'TypedArray', 'DataView'], data);
  }
  const encoding = encodingOf(options);
  if (typeof data === 'string' && encoding && !/^utf-?8$/i.test(encoding)) {
    data = require('buffer').Buffer.from(data, encoding);
  }
  files.writeFile(pathOf(path), data, append);
}

function existsSync(path) {
  try {
    return files.kind(pathOf(path)) >= 0;
  } catch {
    return false;
  }
}

function mkdirSync(path, options) {
  const full = pathOf(path);
  if (!options?.recursive) {
    files.mkdir(full);
    return undefined;
  }
  let first;
  const parts = require('path').resolve(full).split('/');
  for (let i = 2; i <= parts.length; i++) {
    const folder = parts.slice(0, i).join('/');
    if (files.kind(folder) >= 0) continue;
    files.mkdir(folder);
    first ??= folder;
  }
  return first;
}

function rmSync(path, { recursive = false, force = false } = {}) {
  const full = pathOf(path);
  const link = files.isLink(full);
  const kind = link ? 0 : files.kind(full);
  if (kind < 0 && force) return;
  if (kind !== 1) {
    files.unlink(full);
    return;
  }
  if (!recursive) {
    const error = new Error(`Path is a directory: rm returned EISDIR (is a directory) ${full}`);
    throw Object.assign(error, { code: 'ERR_FS_EISDIR', path: full, syscall: 'rm' });
  }
  for (const name of files.readdir(full)) rmSync(`${full}/${name}`, { recursive, force });
  files.rmdir(full);
}

class Stats {
  constructor([mode, size, mtimeMs]) {
    Object.assign(this, { mode, size, mtimeMs, mtime: new Date(mtimeMs) });
  }

  isFile() {
    return (this.mode & 0o170000) === 0o100000;
  }

  isDirectory() {
    return (this.mode & 0o170000) === 0o040000;
  }
}

function statSync(path, { throwIfNoEntry = true } = {}) {
  const full = pathOf(path);
  if (!throwIfNoEntry && files.kind(full) < 0) return undefined;
  return new Stats(files.stat(full));
}

const sync = {
  appendFileSync: (path, data, options) => write(path, data, options, true),
  existsSync,
  mkdirSync,
  mkdtempSync: (prefix) => files.mkdtemp(pathOf(prefix, 'prefix')),
  readFileSync,
  readdirSync: (path) => files.readdir(pathOf(path)).sort(),
  realpathSync: (path) => files.realpath(pathOf(path)),
  rmSync,
  rmdirSync: (path, options) => (options?.recursive ? rmSync(path, options) : files.rmdir(pathOf(path))),
  statSync,
  unlinkSync: (path) => files.unlink(pathOf(path)),
  writeFileSync: (path, data, options) => write(path, data, options, false),
};

// The others are made of these: a callback's comes with the next tick, a promise's with the microtasks.
const others = {};
const promises = {};
for (const name of Object.keys(sync)) {
  const short = name.slice(0, -'Sync'.length);
  promises[short] = async (...args) => sync[name](...args);
  if (short === 'exists') continue;
  others[short] = (...args) => {
    const callback = args.pop();
    require('internal/errors').validateFunction(callback, 'cb');
    const { nextTick } = require('internal/bootstrap');
    let value;
    try {
      value = sync[name](...args);
    } catch (error) {
      nextTick(callback, error);
      return;
    }
    nextTick(callback, null, value);
  };
}
delete promises.exists;

module.exports = { ...sync, ...others, Stats, promises };
