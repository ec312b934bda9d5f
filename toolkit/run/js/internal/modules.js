// SPDX-License-Identifier: MIT
//
// Loads ES modules. A record is an object that the module's handle is tied to; the registry keeps one for each file.
'use strict';

const files = internalBinding('files');
const modules = internalBinding('modules');
const builtins = internalBinding('builtins');
const { codedError, nodeError } = require('internal/errors');
const loader = require('internal/loader');

const registry = new Map(); // key -> record

// ---- names ----------------------------------------------------------------------------------------

const toUrl = (path) =>
  `file://${path.replace(/[%\\\n\r\t?# "<>`{}|^]|[^\x20-\x7e]+/g, (found) => encodeURIComponent(found))}`;

function fromUrl(url) {
  const path = url.replace(/^file:\/\/(localhost(?=\/))?/, '');
  if (!path.startsWith('/')) throw codedError(TypeError, 'ERR_INVALID_FILE_URL_HOST', 'File URL host must be empty');
  return decodeURIComponent(path);
}

// A module's key: a path, with ?query and #hash if it was asked for so; "node:NAME"; a data: URL.
function split(key) {
  const at = key.search(/[?#]/);
  return at < 0 ? [key, ''] : [key.slice(0, at), key.slice(at)];
}

function notFound(path, referrer) {
  const error = codedError(Error, 'ERR_MODULE_NOT_FOUND',
    `Cannot find ${path.startsWith('/') ? 'module' : 'package'} '${path}'${referrer ? ` imported from ${referrer}` : ''}`);
  if (path.startsWith('/')) {
    delete error.code;
    Object.assign(error, { url: toUrl(path), code: 'ERR_MODULE_NOT_FOUND' });
  }
  return error;
}

function resolve(specifier, referrer) {
  if (specifier.startsWith('node:')) {
    if (!builtins.has(specifier.slice(5))) throw nodeError('ERR_UNKNOWN_BUILTIN_MODULE', specifier);
    return { key: specifier, format: 'builtin' };
  }
  if (specifier.startsWith('data:')) return { key: specifier, format: dataFormat(specifier) };
  if (builtins.has(specifier)) return { key: `node:${specifier}`, format: 'builtin' };
  const from = referrer.startsWith('file:') ? fromUrl(referrer) : split(referrer)[0];
  const folder = from.startsWith('/') ? loader.dirname(from) : internalBinding('process').cwd();
  let path, tail = '';
  if (/^\.{0,2}\/|^file:/.test(specifier)) {
    [path, tail] = split(specifier);
    path = path.startsWith('file:') ? fromUrl(path) : decodeURIComponent(path);
    path = loader.normalize(path.startsWith('/') ? path : `${folder}/${path}`);
    const kind = files.kind(path);
    if (kind === 1) {
      throw codedError(Error, 'ERR_UNSUPPORTED_DIR_IMPORT',
        `Directory import '${path}' is not supported resolving ES modules imported from ${from}`);
    }
    if (kind < 0) throw notFound(path, from);
  } else if (/^[a-z][a-z+.-]*:/i.test(specifier)) {
    throw codedError(Error, 'ERR_UNSUPPORTED_ESM_URL_SCHEME',
      'Only URLs with a scheme in: file, data, and node are supported by the default ESM loader. ' +
      `Received protocol '${specifier.slice(0, specifier.indexOf(':') + 1)}'`);
  } else {
    path = loader.findPackage(specifier, folder, ['node', 'import', 'module-sync'], (found) => {
      if (files.kind(found) === 0) return found;
      return loader.resolve(found, folder);
    });
    if (path === undefined) throw notFound(specifier, from);
  }
  const key = files.realpath(path) + tail;
  return { key, format: formatOf(path) };
}

function formatOf(path) {
  if (!['', '.js', '.mjs', '.cjs', '.json'].includes(loader.extension(path))) {
    throw codedError(TypeError, 'ERR_UNKNOWN_FILE_EXTENSION',
      `Unknown file extension "${loader.extension(path)}" for ${path}`);
  }
  const format = loader.formatOf(path);
  return format === 'auto' ? 'commonjs' : format;
}

function dataFormat(url) {
  const type = /^data:([^,;]*)/.exec(url)[1];
  if (type === 'text/javascript' || type === 'application/javascript') return 'module';
  if (type === 'application/json') return 'json';
  throw codedError(TypeError, 'ERR_UNKNOWN_MODULE_FORMAT', `Unknown module format: ${type} for URL ${url}`);
}

function dataText(url) {
  const [, head, body] = /^data:([^,]*),([^#]*)/s.exec(url) ?? [];
  if (body === undefined) throw codedError(TypeError, 'ERR_INVALID_URL', 'Invalid URL');
  const text = decodeURIComponent(body);
  return /;base64$/.test(head) ? require('buffer').Buffer.from(text, 'base64').toString() : text;
}

const textOf = (key) => (key.startsWith('data:') ? dataText(key) : files.readText(split(key)[0]));

// ---- records --------------------------------------------------------------------------------------

function checkAttributes(key, format, attributes) {
  for (const name of Object.keys(attributes)) {
    if (name !== 'type') {
      throw codedError(TypeError, 'ERR_IMPORT_ASSERTION_TYPE_UNSUPPORTED',
        `Import assertion with key "${name}" is not supported`);
    }
  }
  const { type } = attributes;
  if (type !== undefined && type !== 'json') {
    throw codedError(TypeError, 'ERR_IMPORT_ASSERTION_TYPE_UNSUPPORTED', `Import assertion type "${type}" is unsupported`);
  }
  const shown = key.startsWith('/') ? toUrl(key) : key;
  if (format === 'json' && type === undefined) {
    throw codedError(TypeError, 'ERR_IMPORT_ASSERTION_TYPE_MISSING',
      `Module "${shown}" needs an import assertion of type "json"`);
  }
  if (format !== 'json' && type === 'json') {
    throw codedError(TypeError, 'ERR_IMPORT_ASSERTION_TYPE_FAILED', `Module "${shown}" is not of type "json"`);
  }
}

function synthetic(record, names, evaluate) {
  const unique = [...new Set(['default', ...names])];
  modules.syntheticModule(record.key, unique, () => {
    const values = evaluate();
    for (const name of unique) {
      modules.setExport(record, name, name === 'default' ? values : values?.[name]);
    }
  }, record);
}

// Names that a CommonJS file seems to export, read off its text.
function namesIn(text) {
  const names = [];
  for (const match of text.matchAll(/\bexports\.([A-Za-z_$][\w$]*)\s*=(?!=)/g)) names.push(match[1]);
  for (const match of text.matchAll(/\bdefineProperty\(\s*exports\s*,\s*['"]([A-Za-z_$][\w$]*)['"]/g)) names.push(match[1]);
  for (const match of text.matchAll(/\bmodule\.exports\s*=\s*\{([^{}]*)/g)) {
    for (const part of match[1].split(',')) {
      const name = /^\s*([A-Za-z_$][\w$]*)\s*(:|\(|$)/.exec(part)?.[1];
      if (name !== undefined) names.push(name);
    }
  }
  return names;
}

function make(record, text) {
  const { key, format } = record;
  if (format === 'builtin') {
    const exports = require(key.slice(5));
    synthetic(record, Object.keys(exports), () => exports);
  } else if (format === 'json') {
    const source = text ?? textOf(key);
    synthetic(record, [], () => JSON.parse(source));
  } else if (format === 'commonjs') {
    const path = split(key)[0];
    synthetic(record, namesIn(files.readText(path)), () => {
      const cached = loader.cache[path];
      return (cached ?? loader.loadFile(path, undefined, 'commonjs')).exports;
    });
  } else {
    const plain = text === undefined && key.startsWith('/') && split(key)[1] === '';
    modules.compileModule(key, plain ? undefined : text ?? textOf(key), record);
  }
}

// The record, with all it imports linked to it. `added` collects what is new.
function get({ key, format }, attributes, added, text) {
  checkAttributes(key, format, attributes);
  let record = registry.get(key);
  if (record !== undefined) return record;
  record = { key, format, promise: undefined };
  make(record, text);
  registry.set(key, record);
  added.push(key);
  if (format === 'module') {
    const requests = modules.requests(record);
    const found = [];
    for (let i = 0; i < requests.length; i += 2) {
      found.push(get(resolve(requests[i], key), requests[i + 1], added));
    }
    modules.link(record, found);
  }
  return record;
}

function load(resolved, attributes, text) {
  const added = [];
  let record;
  try {
    record = get(resolved, attributes, added, text);
    const status = modules.status(record);
    if (status === 'unlinked' || status === 'linked') modules.instantiate(record);
  } catch (error) {
    for (const key of added) registry.delete(key);
    throw error;
  }
  return record;
}

function evaluate(record) {
  record.promise ??= modules.evaluate(record);
  return record.promise;
}

const none = Object.freeze({ __proto__: null });

// ---- for others -----------------------------------------------------------------------------------

// Answers import(): a promise of the namespace.
async function importFrom(specifier, referrer, attributes = none) {
  const record = load(resolve(`${specifier}`, referrer), attributes);
  // It asks for itself, while it runs.
  while (modules.status(record) === 'evaluating') await undefined;
  await evaluate(record);
  return modules.namespaceOf(record);
}

// The main file: a promise of its evaluation.
function importFile(path) {
  try {
    return evaluate(load({ key: path, format: 'module' }, none));
  } catch (error) {
    return Promise.reject(error);
  }
}

function importText(key, text) {
  try {
    return evaluate(load({ key, format: 'module' }, none, text));
  } catch (error) {
    return Promise.reject(error);
  }
}

function fillMeta(meta, key) {
  if (!key.startsWith('/')) {
    meta.url = key;
    return;
  }
  const [path, tail] = split(key);
  meta.dirname = loader.dirname(path);
  meta.filename = path;
  meta.resolve = (specifier) => {
    const found = resolve(`${specifier}`, key).key;
    if (!found.startsWith('/')) return found;
    const [file, rest] = split(found);
    return toUrl(file) + rest;
  };
  meta.url = toUrl(path) + tail;
}

module.exports = { fillMeta, fromUrl, importFile, importFrom, importText, toUrl };
