// SPDX-License-Identifier: MIT
//
// node --require kiln/register app.js: CommonJS modules are compiled with the code caches of a baked folder.
//
// V8 believes whatever cached data it is given, so nothing is offered to it that was not compared before: the index
// with its digest, the engine with this very process, a blob and the source it was made of with their digests. Whatever
// is wrong, whatever fails and whatever is not understood ends in Node's own loader, silently. KILN_DEBUG=1 tells.
//
// This file is all that a start with a baked folder reads; the rest (lib/) is loaded when it is asked for.
'use strict';

const fs = require('fs');
const Module = require('module');
const path = require('path');

const env = process.env;
const original = {
  closeSync: fs.closeSync,
  openSync: fs.openSync,
  readFileSync: fs.readFileSync,
  readSync: fs.readSync,
};

// The text that a "wrapper" is compiled with. The second form, of the same length, stands one line above the source,
// so that a source's first line is shown as it is.
const HEADS = ['(function (exports, require, module, __filename, __dirname) { ',
  '(function (exports, require, module, __filename, __dirname) {\n'];
const HEAD_LENGTH = HEADS[0].length;
const TAIL = '\n})';
// The form that is recorded: kiln precompile makes the very same text.
const LINE_OFFSET = -1;
const COLUMN_OFFSET = 0;
const PARAMS = ['exports', 'require', 'module', '__filename', '__dirname'];

const KINDS = new Set(['wrapper', 'commonjs']);
const SOURCE_MAX = 256 * 1024 * 1024;
const BLOB_MAX = 512 * 1024 * 1024;
const INDEX_MAX = 256 * 1024 * 1024;
const ENGINES_MAX = 64;
const SMALL_SOURCE = 256 * 1024;
const SCRATCH_MAX = 1024 * 1024;
// Node remembers what it looked up in the file system as long as the main script runs, if it compiled that one itself:
// worth more than the code of a short one.
const SHORT_MAIN = 16 * 1024;
// A pack of small blobs up to this size is read and compared at once.
const PACK_AT_ONCE = 8 * 1024 * 1024;
const SMALL_BLOB = 16 * 1024;
// A pack with so many damaged blobs is not read any more.
const DAMAGED_MAX = 3;

const debug = env.KILN_DEBUG && env.KILN_DEBUG !== '0' ? require('./lib/debug.js') : null;

// V8 up to 11.3 loses what import() needs of code that comes from a cache.
const LOSES_IMPORT = (() => {
  const [major, minor] = process.versions.v8.split('.', 2).map(Number);
  return major < 11 || (major === 11 && minor <= 3);
})();

// ---- digests ---------------------------------------------------------------------------

let sha256 = (bytes) => {
  const crypto = require('crypto');
  sha256 = typeof crypto.hash === 'function' ?
    (data) => crypto.hash('sha256', data, 'hex') :
    (data) => crypto.createHash('sha256').update(data).digest('hex');
  return sha256(bytes);
};

// ---- files -----------------------------------------------------------------------------

// Reused from file to file: what is in it is gone with the next use.
class Scratch {
  bytes = Buffer.allocUnsafeSlow(0);
  take(length) {
    if (length > this.bytes.length) {
      if (length > SCRATCH_MAX) return Buffer.allocUnsafeSlow(length);
      this.bytes = Buffer.allocUnsafeSlow(Math.max(length, 2 * this.bytes.length, 128 * 1024));
    }
    return this.bytes;
  }
}
const sourceScratch = new Scratch();
const blobScratch = new Scratch();

// Fills `bytes` from `at` on; fewer than `length` only at the file's end.
function readInto(fd, bytes, at, length, position) {
  let got = 0;
  while (got < length) {
    const count = original.readSync(fd, bytes, at + got, length - got, position + got);
    if (count === 0) break;
    got += count;
  }
  return got;
}

// ---- this process as an engine ---------------------------------------------------------

// The GNU build id of the running binary, as hexadecimal digits; '' if it has none.
function buildId() {
  let fd;
  try {
    fd = original.openSync('/proc/self/exe');
  } catch {
    fd = original.openSync(process.execPath);
  }
  try {
    const start = Buffer.alloc(4096);
    if (readInto(fd, start, 0, start.length, 0) < 64 || start.readUInt32BE(0) !== 0x7f454c46) return '';
    if (start[4] !== 2 || start[5] !== 1) return '';
    const headers = Number(start.readBigUInt64LE(32));
    const size = start.readUInt16LE(54);
    const count = start.readUInt16LE(56);
    if (size < 56) return '';
    for (let i = 0; i < count; i++) {
      const header = headers + i * size;
      if (header + 56 > start.length) break;
      if (start.readUInt32LE(header) !== 4) continue;
      const at = Number(start.readBigUInt64LE(header + 8));
      const length = Math.min(Number(start.readBigUInt64LE(header + 32)), 65536);
      let notes = start.subarray(at, at + length);
      if (at + length > start.length) {
        notes = Buffer.alloc(length);
        if (readInto(fd, notes, 0, length, at) !== length) continue;
      }
      for (let note = 0; note + 12 <= notes.length;) {
        const name = notes.readUInt32LE(note);
        const bytes = notes.readUInt32LE(note + 4);
        const value = note + 12 + (name + 3 & ~3);
        if (value + bytes > notes.length) break;
        if (notes.readUInt32LE(note + 8) === 3 && name === 4 && notes.latin1Slice(note + 12, note + 15) === 'GNU') {
          return notes.hexSlice(value, value + bytes);
        }
        note = value + (bytes + 3 & ~3);
      }
    }
    return '';
  } finally {
    original.closeSync(fd);
  }
}

// Whether node was started with nothing but what loads modules.
function plainFlags() {
  return (env.NODE_OPTIONS === undefined || /^ *(?:(?:-r|--require|--import)[ =][^ ]+ *)*$/.test(env.NODE_OPTIONS)) &&
    process.execArgv.every((flag, i, all) =>
      /^(?:-r|--require|--import)(?:=|$)/.test(flag) || /^(?:-r|--require|--import)$/.test(all[i - 1]));
}

// What of an index' engine is not this process; null: nothing. Every blob of another engine would be rejected by V8, or
// worse, accepted.
function otherEngine(engine, id) {
  if (id === '') return 'this node has no build id';
  if (engine.buildId !== id) return `build id ${engine.buildId}, this node has ${id}`;
  if (engine.arch !== process.arch) return `arch ${engine.arch}, this is ${process.arch}`;
  if (engine.v8Version !== process.versions.v8) {
    return `V8 ${engine.v8Version}, this is ${process.versions.v8}`;
  }
  // What is left are V8's flags, which V8 compares, too, so that who gave none need not load this module. The tag names
  // the processor's abilities besides.
  const tag = plainFlags() ? engine.cachedDataVersionTag : require('v8').cachedDataVersionTag();
  if (engine.cachedDataVersionTag !== tag) {
    return `cachedDataVersionTag ${engine.cachedDataVersionTag}, here it is ${tag}: V8's flags or the processor's abilities differ`;
  }
  return null;
}

// ---- the baked folder ------------------------------------------------------------------

// Reads and checks an index. Throws with the reason.
function readIndex(file) {
  const fd = original.openSync(file);
  let bytes;
  try {
    const status = fs.fstatSync(fd);
    if ((status.mode & 0o002) !== 0) throw new Error('others may write to it');
    if (status.size > INDEX_MAX) throw new Error(`${status.size} bytes, limit ${INDEX_MAX}`);
    bytes = Buffer.allocUnsafeSlow(status.size);
    if (readInto(fd, bytes, 0, status.size, 0) !== status.size) throw new Error('cut short');
  } finally {
    original.closeSync(fd);
  }
  const newline = bytes.indexOf(10);
  const line = newline === 77 ? bytes.latin1Slice(0, newline) : '';
  if (!line.startsWith('kiln-index 1 ')) throw new Error('first line is not an index\'');
  const body = bytes.subarray(newline + 1);
  if (sha256(body) !== line.slice(13)) throw new Error('sha256 is not that of its first line');
  const index = JSON.parse(body.utf8Slice());
  if (typeof index.engine !== 'object' || typeof index.root !== 'string' || !Array.isArray(index.entries) ||
      !/^pack-[0-9a-f]{16}$/.test(index.pack)) {
    throw new Error('not an index');
  }
  return index;
}

// The index of this engine and its open pack. A new run of precompile may remove the pack between the two: then the
// index is a new one, too.
function openEngine(folder, id) {
  const wanted = `node-${process.versions.node}`;
  const reasons = [];
  const attempt = (name) => {
    for (let again = 0; ; again++) {
      let index;
      try {
        index = readIndex(path.join(folder, name, 'index'));
      } catch (error) {
        if (error.code !== 'ENOENT' && error.code !== 'ENOTDIR') reasons.push(`${name}: ${error.message}`);
        return null;
      }
      const other = otherEngine(index.engine, id);
      if (other !== null) {
        reasons.push(`${name}: ${other}`);
        return null;
      }
      try {
        const fd = original.openSync(path.join(folder, name, index.pack));
        return { name, index, fd };
      } catch (error) {
        if (error.code === 'ENOENT' && again === 0) continue;
        reasons.push(`${name}: ${error.message}`);
        return null;
      }
    }
  };
  let found = attempt(wanted);
  if (found === null) {
    const names = fs.readdirSync(folder).filter((name) => name !== wanted).sort().slice(0, ENGINES_MAX);
    for (let i = 0; found === null && i < names.length; i++) {
      if (!names[i].includes('.json')) found = attempt(names[i]);
    }
  }
  if (found === null && debug !== null) {
    debug.say(`folder '${folder}': no engine is this node${reasons.length > 0 ? `; ${reasons.join('; ')}` : ''}`);
  }
  return found;
}

// Where an index' entries are: by the names that Node's loader gives the files, with symbolic links resolved or not.
function entriesOf(folder, index) {
  const named = path.resolve(folder, index.root);
  const roots = [named];
  const real = fs.realpathSync(named);
  if (real !== named) roots.push(real);
  const entries = new Map();
  for (const root of roots) {
    const prefix = root.endsWith(path.sep) ? root : root + path.sep;
    for (const entry of index.entries) {
      const file = entry[0];
      entries.set(file.startsWith('.') || file.startsWith('/') ? path.resolve(root, file) : prefix + file, entry);
    }
  }
  return entries;
}

class Baked {
  constructor(folder, name, index, fd) {
    this.folder = folder;
    this.name = name;
    this.fd = fd;
    this.pack = index.pack;
    this.packBytes = index.packBytes;
    this.all = this.packBytes <= PACK_AT_ONCE && this.packBytes <= SMALL_BLOB * index.entries.length ? undefined : null;
    this.entries = entriesOf(folder, index);
    this.damaged = 0;
  }

  // The whole pack, if it is as it was written: its name is its digest's beginning, its blobs' digests were made of it.
  readAll() {
    const bytes = Buffer.allocUnsafeSlow(this.packBytes);
    if (readInto(this.fd, bytes, 0, this.packBytes, 0) !== this.packBytes) return null;
    return this.pack === `pack-${sha256(bytes).slice(0, 16)}` ? bytes : null;
  }

  // Why a blob cannot be what the index says; null: it is in this.blob, compared.
  readBlob([, , , , , offset, length, digest]) {
    if (!Number.isSafeInteger(offset) || !Number.isSafeInteger(length) || offset < 0 || offset % 8 !== 0 ||
        length <= 0 || length > BLOB_MAX || offset + length > this.packBytes) {
      return 'its place in the pack is not possible';
    }
    if (this.all === undefined) this.all = this.readAll();
    if (this.all !== null) {
      this.blob = this.all.subarray(offset, offset + length);
      return null;
    }
    const bytes = blobScratch.take(length);
    const got = readInto(this.fd, bytes, 0, length, offset);
    if (got !== length) return `the pack ends after ${got} of ${length} bytes of the blob`;
    this.blob = bytes.length === length ? bytes : bytes.subarray(0, length);
    if (sha256(this.blob) !== digest) return 'sha256 of the blob differs';
    return null;
  }

  // The function that a CommonJS file is, or null.
  compile(filename, mod) {
    const entry = this.entries.get(filename);
    if (entry === undefined) {
      if (debug !== null) debug.missed(filename, 'not baked');
      return null;
    }
    if (mod === process.mainModule && entry[4] < SHORT_MAIN) {
      if (debug !== null) debug.missed(filename, 'a short main script');
      return null;
    }
    const reject = (why) => {
      if (debug !== null) debug.rejected(filename, why);
      return null;
    };
    if (this.damaged >= DAMAGED_MAX) return reject('too many damaged blobs before it');
    const [, kind, , digest, bytes, , , , producer, lineOffset, columnOffset] = entry;
    if (!KINDS.has(kind)) return reject(`kind ${kind}: not what require() takes`);
    if (LOSES_IMPORT && producer !== filename) return reject(`baked as '${producer}', which this V8 keeps`);
    // The blob first: it is smaller, and where it is damaged nothing else need be read.
    const damage = this.readBlob(entry);
    if (damage !== null) {
      this.damaged++;
      return reject(damage);
    }
    const text = readSource(filename, kind, bytes, digest, lineOffset);
    if (typeof text !== 'string') return reject(text.why);
    const made = compileWith(filename, kind, text, lineOffset, columnOffset, this.blob);
    this.blob = null;
    return made;
  }
}

// ---- sources ---------------------------------------------------------------------------

// The text that is compiled, or { why }.
function readSource(filename, kind, length, digest, lineOffset) {
  if (!Number.isSafeInteger(length) || length < 0 || length > SOURCE_MAX) return { why: 'source too large' };
  const wrapped = kind === 'wrapper';
  const before = wrapped ? HEAD_LENGTH : 0;
  if (length <= SMALL_SOURCE) {
    // For a short file nothing is as fast as Node's own way; a text that is not what the bytes were has another digest.
    let text = original.readFileSync(filename, 'utf8');
    if (sha256(text) !== digest) return { why: 'sha256 of the source differs' };
    if (!wrapped) return text;
    if (text.startsWith('#!')) text = `//${text.slice(2)}`;
    return HEADS[lineOffset === -1 ? 1 : 0] + text + TAIL;
  }
  const bytes = sourceScratch.take(before + length + 4);
  const fd = original.openSync(filename);
  let got;
  try {
    got = original.readSync(fd, bytes, before, length + 1, 0);
  } finally {
    original.closeSync(fd);
  }
  if (got !== length) return { why: `source has ${got > length ? 'more than' : got} ${length} bytes it had` };
  const source = bytes.subarray(before, before + length);
  if (sha256(source) !== digest) return { why: 'sha256 of the source differs' };
  return textOf(bytes, source, wrapped, lineOffset);
}

// In the head's, the source's and the tail's place of one buffer, so that V8 gets one flat string.
function textOf(bytes, source, wrapped, lineOffset) {
  const before = wrapped ? HEAD_LENGTH : 0;
  let end = before + source.length;
  if (wrapped) {
    bytes.latin1Write(HEADS[lineOffset === -1 ? 1 : 0], 0);
    if (source[0] === 35 && source[1] === 33) source[0] = source[1] = 47;
    end += bytes.latin1Write(TAIL, end);
  }
  return isAscii(source) ? bytes.latin1Slice(0, end) : bytes.utf8Slice(0, end);
}

const { isAscii } = require('buffer');

// ---- compiling -------------------------------------------------------------------------

const vm = require('vm');
const { Script } = vm;
const { runInThisContext } = Script.prototype;
// Whether the word stands there, before what may begin its arguments: in code or elsewhere.
function mentionsImport(text) {
  for (let at = text.indexOf('import'); at >= 0; at = text.indexOf('import', at)) {
    at += 6;
    let next = text.charCodeAt(at);
    for (let i = at; next === 32 || (next >= 9 && next <= 13); next = text.charCodeAt(i)) i++;
    if (next === 40 || next === 47) return true;
  }
  return false;
}

const LOADER = LOSES_IMPORT || vm.constants === undefined ? undefined : vm.constants.USE_MAIN_CONTEXT_DEFAULT_LOADER;

// With LOADER import() in a script is the program's own. Node says once, when it is called, that this is experimental:
// nothing that the program should be told of, since it does not use it.
function hideWarning() {
  if (LOADER === undefined) return;
  const { emitWarning } = process;
  const replaced = { emitWarning(warning, type) {
    if (type === 'ExperimentalWarning' && `${warning}`.startsWith('vm.USE_MAIN_CONTEXT_DEFAULT_LOADER ')) {
      if (process.emitWarning === replaced) process.emitWarning = emitWarning;
      return undefined;
    }
    return Reflect.apply(emitWarning, this, arguments);
  } }.emitWarning;
  process.emitWarning = replaced;
}

// The module's function, or null if V8 did not take the blob.
function compileWith(filename, kind, text, lineOffset, columnOffset, blob) {
  if (LOSES_IMPORT && mentionsImport(text) && require('./lib/dynamic_import.js')(text)) {
    if (debug !== null) debug.rejected(filename, 'it may call import(), which this V8 loses in cached code');
    return null;
  }
  const options = {
    filename, lineOffset, columnOffset, cachedData: blob, importModuleDynamically: LOADER,
  };
  if (debug !== null) debug.offered(filename, sha256(blob));
  let made;
  let rejected;
  if (kind === 'wrapper') {
    const script = new Script(text, options);
    rejected = script.cachedDataRejected;
    if (!rejected) made = Reflect.apply(runInThisContext, script, []);
  } else {
    made = vm.compileFunction(text, PARAMS, options);
    rejected = made.cachedDataRejected;
  }
  if (rejected !== false) {
    if (debug !== null) debug.rejected(filename, 'V8 did not take the blob');
    return null;
  }
  if (debug !== null) debug.used(filename, blob.length);
  return made;
}

// ---- Node's loader ---------------------------------------------------------------------

// Module._compile() marks the module that is running, for cycles through require() of ES modules.
const executing = Object.getOwnPropertySymbols(module).find((symbol) => symbol.description === 'kIsExecuting');
const preloaded = Object.getOwnPropertySymbols(module).find((symbol) => symbol.description === 'kModuleSource');

function requireFunction(mod) {
  // As Node's, by name and by what can be seen of them.
  function require(path) {
    return mod.require(path);
  }
  function resolve(request, options) {
    if (hooked || typeof request !== 'string') return Module.createRequire(mod.filename).resolve(request, options);
    return Module._resolveFilename(request, mod, false, options);
  }
  function paths(request) {
    if (typeof request !== 'string') return Module.createRequire(mod.filename).resolve.paths(request);
    return Module._resolveLookupPaths(request, mod);
  }
  require.resolve = resolve;
  resolve.paths = paths;
  require.main = process.mainModule;
  require.extensions = Module._extensions;
  require.cache = Module._cache;
  return require;
}

function run(mod, compiled, filename) {
  const { exports } = mod;
  const args = [exports, requireFunction(mod), mod, filename, path.dirname(filename)];
  if (executing === undefined) return Reflect.apply(compiled, exports, args);
  mod[executing] = true;
  const result = Reflect.apply(compiled, exports, args);
  mod[executing] = false;
  return result;
}

// Whether Node would load this .js file as an ES module: then it is not ours. As Node looks for "type".
const types = new Map();
function isModuleScope(folder) {
  let known = types.get(folder);
  if (known !== undefined) return known;
  known = false;
  const parent = path.dirname(folder);
  if (!folder.endsWith(`${path.sep}node_modules`)) {
    const found = Module._readPackage(folder);
    if (found && found.exists) {
      known = found.type === 'module';
    } else if (parent !== folder) {
      known = isModuleScope(parent);
    }
  }
  types.set(folder, known);
  return known;
}

let hooked = false;

// Takes over Node's loader of CommonJS files, with `provider.compile()`, if it is Node's own that stands there. Whenever
// somebody else changed a part of it, that part must be the one that works.
function install(provider) {
  const native = Module._extensions['.js'];
  const nativeCompile = Module.prototype._compile;
  const { wrap, wrapper } = Module;
  const [head, tail] = wrapper;
  if (!/\bcjsParseCache\.get\(module\)|\bloadSource\(module, filename\b/.test(native) ||
      !/\bwrapSafe\(filename, content\b/.test(nativeCompile)) {
    if (debug !== null) debug.say('the loader was changed before by something else: nothing is done');
    return false;
  }
  const untouched = (mod) =>
    mod._compile === nativeCompile && Module.wrap === wrap && Module.wrapper === wrapper && wrapper[0] === head &&
    wrapper[1] === tail && fs.readFileSync === original.readFileSync && !hooked && !process.sourceMapsEnabled &&
    (preloaded === undefined || mod[preloaded] === undefined);

  const own = `${__dirname}${path.sep}`;
  Module._extensions['.js'] = function(mod, filename) {
    let compiled = null;
    if (filename.startsWith(own)) return Reflect.apply(native, this, arguments);
    if (untouched(mod)) {
      try {
        if (/\.(?:mjs|[cm]?tsx?)$/.test(filename) ||
            (filename.endsWith('.js') && isModuleScope(path.dirname(filename)))) {
          if (debug !== null) debug.missed(filename, 'not CommonJS');
        } else {
          compiled = provider.compile(filename, mod);
        }
      } catch (error) {
        if (debug !== null) debug.rejected(filename, error.message);
      }
    } else if (debug !== null) {
      debug.missed(filename, 'the loader is changed by something else');
    }
    if (compiled === null) return Reflect.apply(native, this, arguments);
    run(mod, compiled, filename);
  };

  hideWarning();
  const { registerHooks } = Module;
  if (typeof registerHooks === 'function') {
    Module.registerHooks = { registerHooks(...args) {
      hooked = true;
      return Reflect.apply(registerHooks, this, args);
    } }.registerHooks;
    // Asking for it again brings what `import` sees of it up to date.
    require('module');
  }
  return true;
}

// Why nothing is to be done in this process; null: nothing.
function whyNot() {
  const flags = `${process.execArgv.join(' ')} ${env.NODE_OPTIONS || ''}`;
  if (/--(?:inspect|debug)|--prof\b|--cpu-prof/.test(flags) || env.VSCODE_INSPECTOR_OPTIONS ||
      (process.moduleLoadList.includes('NativeModule inspector') && require('inspector').url() !== undefined)) {
    return 'an inspector or profiler is active';
  }
  if (env.NODE_V8_COVERAGE) return 'NODE_V8_COVERAGE is set';
  if (/--enable-source-maps/.test(flags)) return '--enable-source-maps is set';
  if (/--(?:experimental-)?policy/.test(flags)) return 'a policy is set';
  return null;
}

function start() {
  const why = whyNot();
  if (why !== null) {
    if (debug !== null) debug.say(`${why}: nothing is done`);
    return;
  }
  const parts = {
    BLOB_MAX, COLUMN_OFFSET, HEAD_LENGTH, LINE_OFFSET, LOADER, LOSES_IMPORT, PARAMS, SOURCE_MAX, buildId, compileWith,
    debug, env, install, otherEngine, sha256: (bytes) => sha256(bytes), textOf,
  };
  if (env.KILN_RECORD) {
    require('./lib/record.js')(parts);
    return;
  }
  if (env.KILN_URL) {
    require('./lib/remote.js')(parts);
    return;
  }
  const folder = env.KILN_BAKED ? path.resolve(env.KILN_BAKED) : require('./lib/find.js')(debug);
  if (folder === null) {
    if (debug !== null) debug.say('no baked folder: neither KILN_BAKED, nor node_modules/.kiln or .kiln');
    return;
  }
  const engine = openEngine(folder, buildId());
  if (engine === null) return;
  if (debug !== null) debug.opened(folder, engine);
  install(new Baked(folder, engine.name, engine.index, engine.fd));
}

const once = Symbol.for('kiln.register');
if (!Module[once]) {
  Object.defineProperty(Module, once, { value: true });
  try {
    start();
  } catch (error) {
    if (debug !== null) debug.say(`nothing is done: ${error.message}`);
  }
  // What a program sees in require.cache is its own.
  for (const name of Object.keys(require.cache)) {
    if (name.startsWith(`${__dirname}${path.sep}`)) delete require.cache[name];
  }
}
