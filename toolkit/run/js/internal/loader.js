// SPDX-License-Identifier: MIT
//
// Loads the program's own files: CommonJS here, ES modules in internal/modules. Packages in node_modules are found by
// "main" and by "exports" in its simplest forms.
'use strict';

const files = internalBinding('files');
const modules = internalBinding('modules');
const builtins = internalBinding('builtins');

const dirname = (path) => path.slice(0, path.lastIndexOf('/')) || '/';

// Resolves . and .. in an absolute path.
function normalize(path) {
  const parts = [];
  for (const part of path.split('/')) {
    if (part === '..') parts.pop();
    else if (part !== '' && part !== '.') parts.push(part);
  }
  return `/${parts.join('/')}`;
}

function extension(path) {
  const name = path.slice(path.lastIndexOf('/') + 1);
  const dot = name.lastIndexOf('.');
  return dot > 0 ? name.slice(dot) : '';
}

// ---- packages -------------------------------------------------------------------------------------

const packages = new Map(); // folder -> its package.json, parsed; null if there is none

function packageIn(folder) {
  let found = packages.get(folder);
  if (found === undefined) {
    const path = folder === '/' ? '/package.json' : `${folder}/package.json`;
    const text = files.readIfThere(path);
    found = null;
    if (text !== undefined) {
      try {
        found = JSON.parse(text);
      } catch (error) {
        error.message = `Error parsing ${path}: ${error.message}`;
        throw error;
      }
      if (typeof found !== 'object') found = null;
    }
    packages.set(folder, found);
  }
  return found;
}

// "module", "commonjs", or undefined: the nearest package.json does not say.
function packageType(path) {
  for (let folder = dirname(path); ; folder = dirname(folder)) {
    if (folder.endsWith('/node_modules')) return undefined;
    const found = packageIn(folder);
    if (found) return found.type === 'module' || found.type === 'commonjs' ? found.type : undefined;
    if (folder === '/') return undefined;
  }
}

// "module", "commonjs", "json" or "auto": nothing says what it is.
function formatOf(path) {
  switch (extension(path)) {
    case '.mjs': return 'module';
    case '.cjs': return 'commonjs';
    case '.json': return 'json';
    default: return packageType(path) ?? 'auto';
  }
}

// The target of "exports" for a subpath ("." or "./x") under these conditions; undefined if it has none.
function exportsTarget(exports, subpath, conditions) {
  if (typeof exports === 'string') return subpath === '.' ? exports : undefined;
  if (Array.isArray(exports)) {
    for (const one of exports) {
      const target = exportsTarget(one, subpath, conditions);
      if (target !== undefined) return target;
    }
    return undefined;
  }
  if (exports === null || typeof exports !== 'object') return undefined;
  const keys = Object.keys(exports);
  if (keys.length > 0 && keys[0].startsWith('.')) {
    if (Object.hasOwn(exports, subpath)) return exportsTarget(exports[subpath], '.', conditions);
    for (const key of keys) {
      const star = key.indexOf('*');
      if (star < 0 || !subpath.startsWith(key.slice(0, star)) || !subpath.endsWith(key.slice(star + 1))) continue;
      const target = exportsTarget(exports[key], '.', conditions);
      return target?.replaceAll('*', subpath.slice(star, subpath.length - (key.length - star - 1)));
    }
    return undefined;
  }
  for (const key of keys) {
    if (key !== 'default' && !conditions.includes(key)) continue;
    const target = exportsTarget(exports[key], subpath, conditions);
    if (target !== undefined) return target;
  }
  return undefined;
}

function notExported(subpath, root) {
  return require('internal/errors').codedError(Error, 'ERR_PACKAGE_PATH_NOT_EXPORTED', subpath === '.'
    ? `No "exports" main defined in ${root}/package.json`
    : `Package subpath '${subpath}' is not defined by "exports" in ${root}/package.json`);
}

// The file of a bare specifier, looked up from a folder; undefined if there is none.
function findPackage(request, folder, conditions, findFile) {
  const parts = request.split('/');
  const name = parts.splice(0, request.startsWith('@') ? 2 : 1).join('/');
  for (let at = folder; ; at = dirname(at)) {
    if (!at.endsWith('/node_modules')) {
      const root = normalize(`${at}/node_modules/${name}`);
      if (files.kind(root) === 1) {
        const found = packageIn(root);
        if (found?.exports !== undefined && found.exports !== null) {
          const subpath = parts.length > 0 ? `./${parts.join('/')}` : '.';
          const target = exportsTarget(found.exports, subpath, conditions);
          if (target === undefined) throw notExported(subpath, root);
          return findFile(normalize(`${root}/${target}`));
        }
        return findFile(parts.length > 0 ? `${root}/${parts.join('/')}` : root);
      }
      if (files.kind(`${root}.js`) === 0 && parts.length === 0) return `${root}.js`;
    }
    if (at === '/') return undefined;
  }
}

// ---- CommonJS: finding ----------------------------------------------------------------------------

const endings = ['.js', '.json'];

function findWithEnding(path) {
  if (files.kind(path) === 0) return path;
  for (const ending of endings) {
    if (files.kind(path + ending) === 0) return path + ending;
  }
  return undefined;
}

function findFile(path) {
  let found = path.endsWith('/') ? undefined : findWithEnding(path);
  if (!found && files.kind(path) === 1) {
    const main = packageIn(normalize(path))?.main;
    if (typeof main === 'string') {
      const target = normalize(`${path}/${main}`);
      found = findWithEnding(target) ?? findWithEnding(`${target}/index`);
    }
    found ??= findWithEnding(`${path}/index`);
  }
  return found;
}

const isRelative = (request) => /^\.{0,2}\/|^\.{1,2}$/.test(request);

function notFound(request, parent) {
  const stack = [];
  for (let at = parent; at?.filename; at = at.parent) stack.push(at.filename);
  let message = `Cannot find module '${request}'`;
  if (stack.length > 0) message += `\nRequire stack:\n- ${stack.join('\n- ')}`;
  const error = new Error(message);
  error.code = 'MODULE_NOT_FOUND';
  error.requireStack = stack;
  return error;
}

// The absolute file of a request from a folder, or "node:NAME".
function resolve(request, folder, parent) {
  const { nodeError, validateString } = require('internal/errors');
  validateString(request, 'id');
  if (request === '') throw nodeError('ERR_INVALID_ARG_VALUE', 'id', request, 'must be a non-empty string');
  if (request.startsWith('node:')) {
    if (!builtins.has(request.slice(5))) throw nodeError('ERR_UNKNOWN_BUILTIN_MODULE', request);
    return request;
  }
  if (builtins.has(request)) return `node:${request}`;
  let found;
  if (isRelative(request)) {
    const path = normalize(request.startsWith('/') ? request : `${folder}/${request}`);
    found = findFile(/\/\.{0,2}$|^\.+$/.test(request) ? `${path}/` : path);
  } else {
    found = findPackage(request, folder, ['node', 'require', 'module-sync'], findFile);
  }
  if (found === undefined) throw notFound(request, parent);
  return files.realpath(normalize(found));
}

// ---- CommonJS: loading ----------------------------------------------------------------------------

const cache = Object.create(null);
let main;

function Module(id = '', parent = undefined) {
  this.id = id;
  this.path = dirname(id);
  this.exports = {};
  this.filename = null;
  this.loaded = false;
  this.children = [];
  Object.defineProperty(this, 'parent', { value: parent, writable: true, configurable: true });
  parent?.children?.push(this);
}

Module.prototype.require = function(id) {
  return load(id, this);
};

function requireOf(module) {
  const require = (id) => load(id, module);
  Object.defineProperty(require, 'name', { value: 'require' });
  require.resolve = (id) => {
    const found = resolve(id, module.path, module);
    return found.startsWith('node:') && !id.startsWith('node:') ? id : found;
  };
  require.main = main;
  require.cache = cache;
  return require;
}

function load(id, parent) {
  const filename = resolve(id, parent.path, parent);
  if (filename.startsWith('node:')) return require(filename.slice(5));
  const cached = cache[filename];
  if (cached) {
    if (!parent.children.includes(cached)) parent.children.push(cached);
    return cached.exports;
  }
  return loadFile(filename, parent).exports;
}

function loadFile(filename, parent, format = formatOf(filename)) {
  const module = new Module(filename, parent);
  module.filename = filename;
  cache[filename] = module;
  try {
    run(module, filename, format);
  } catch (error) {
    delete cache[filename];
    throw error;
  }
  module.loaded = true;
  return module;
}

function run(module, filename, format) {
  if (format === 'json') {
    try {
      module.exports = JSON.parse(files.readText(filename).replace(/^\uFEFF/, ''));
    } catch (error) {
      if (error instanceof SyntaxError) error.message = `${filename}: ${error.message}`;
      throw error;
    }
    return;
  }
  if (format === 'module') {
    const error = new Error(`require() of ES Module ${filename}${extension(filename) === '.mjs' ? '' : ` from ${module.parent?.filename}`} not supported.\n` +
      'Instead change the require of it to a dynamic import() which is available in all CommonJS modules.');
    error.code = 'ERR_REQUIRE_ESM';
    throw error;
  }
  compile(module, filename);
}

function compile(module, filename, text) {
  const wrapper = modules.compileFunction(filename, text);
  Reflect.apply(wrapper, module.exports, [module.exports, requireOf(module), module, filename, module.path]);
}

// require() as if from this file.
function createRequire(filename) {
  const module = new Module(filename);
  module.filename = filename;
  return requireOf(module);
}

// ---- the main file --------------------------------------------------------------------------------

let mainPromise;

// V8's words for what only a module may say.
const isOfModules = /^(Cannot use import statement|Cannot use 'import\.meta'|Unexpected token 'export'|await is only valid)/;

function runModule(promise) {
  const { nextTick } = require('internal/bootstrap');
  mainPromise = promise;
  promise.then(undefined, (error) => nextTick(() => { throw error; }));
}

function importMain(path) {
  runModule(require('internal/modules').importFile(path));
}

function runMain(path, kind) {
  const format = kind !== 'auto' ? kind : /^\.[cm]?js$|^$/.test(extension(path)) ? formatOf(path) : 'auto';
  if (format === 'module') return importMain(path);
  if (format === 'script') {
    const module = new Module(path);
    module.filename = path;
    Object.assign(globalThis, { require: requireOf(module), module, exports: module.exports });
    modules.runScript(path);
    return undefined;
  }
  const module = new Module('.');
  module.filename = path;
  module.path = dirname(path);
  main = cache[path] = module;
  let wrapper;
  try {
    wrapper = modules.compileFunction(path);
  } catch (error) {
    if (format === 'auto' && error instanceof SyntaxError && isOfModules.test(error.message)) {
      delete cache[path];
      main = undefined;
      return importMain(path);
    }
    throw error;
  }
  Reflect.apply(wrapper, module.exports, [module.exports, requireOf(module), module, path, module.path]);
  module.loaded = true;
  return undefined;
}

// -e and -p
function runText(text, kind, print) {
  const folder = internalBinding('process').cwd();
  if (kind === 'module') {
    runModule(require('internal/modules').importText(`${folder}/[eval1]`, text));
    return;
  }
  const module = new Module(`${folder}/[eval]`);
  module.id = '[eval]';
  module.filename = `${folder}/[eval]`;
  const values = {
    exports: module.exports, require: requireOf(module), module, __filename: '[eval]', __dirname: '.' };
  for (const name of Object.keys(values)) {
    Object.defineProperty(globalThis, name, { value: values[name], writable: true, configurable: true });
  }
  for (const name of builtins.names().split(' ')) {
    if (name.includes('/') || name in globalThis) continue;
    Object.defineProperty(globalThis, name, {
      get: () => require(name),
      set(value) { Object.defineProperty(globalThis, name, { value, writable: true, enumerable: true }); },
      configurable: true,
    });
  }
  const value = modules.runScript('[eval]', text);
  if (print) console.log(value);
}

function mainIsStuck() {
  if (mainPromise === undefined || internalBinding('util').promiseState(mainPromise) !== 0) return false;
  const { filename } = internalBinding('process');
  internalBinding('process').write(2, `Warning: Detected unsettled top-level await at ${filename || '[eval1]'}\n`);
  return true;
}

module.exports = {
  Module, cache, createRequire, dirname, extension, findPackage, formatOf, loadFile, mainIsStuck, normalize, resolve,
  runMain, runText,
  fillMeta: (meta, name) => require('internal/modules').fillMeta(meta, name),
  importFrom: (specifier, referrer, attributes) =>
    require('internal/modules').importFrom(specifier, referrer, attributes),
  getMain: () => main,
};
