// SPDX-License-Identifier: MIT
//
// Checks what only the built files tell about the layers: node symbols.js BUILD_DIR
// Which shared libraries they need, whose functions they call, what the libraries export. Reads readelf and nm.
// Prints file: message, exits with 1 on any.
'use strict';

const fs = require('fs');
const path = require('path');
const { execFileSync } = require('child_process');

const V8_LIBRARY = /^lib(v8|node)/;
// Mangled: in namespace v8 or node. Demangled names would also match what only mentions v8's types.
const V8_SYMBOL = /^_ZN?[A-Z]*(2v8|4node)/;
const CACHE = /^kcc_/;
const SHIM = /^kv8_/;
const TOOLKIT = /^kiln_/;
const SERVER = /^srv_/;
const HTTP = /^MHD_/;
const SQLITE = /^sqlite3_/;

// Each file or folder of objects: what it must not refer to (or, a program, contain), and for a library the prefix
// of all it exports, for a program what it must not load beside its copy of V8's library, if there is one.
const RULES = [
  { file: 'shim/libkiln-v8.so', exports: SHIM, no: [CACHE, TOOLKIT, SERVER, HTTP, SQLITE] },
  { file: 'shim/libkiln-v8.a', no: [CACHE, TOOLKIT, SERVER, HTTP, SQLITE] },
  { file: 'cache/libkiln-cache.so', exports: CACHE, no: [SHIM, TOOLKIT, SERVER, HTTP, V8_SYMBOL] },
  { file: 'cache/libkiln-cache.a', no: [SHIM, TOOLKIT, SERVER, HTTP, V8_SYMBOL] },
  { file: 'toolkit/libkiln.so', exports: TOOLKIT, no: [SHIM, SERVER, HTTP, SQLITE, V8_SYMBOL] },
  { file: 'toolkit/libkiln.a', no: [SHIM, SERVER, HTTP, SQLITE, V8_SYMBOL] },
  { file: 'libexec/kiln/kiln-engine', runsV8: true, no: [HTTP, SERVER, SQLITE], notLoaded: /^lib(crypto|ssl)\./ },
  { file: 'libexec/kiln/kiln-run', runsV8: true, no: [HTTP, SERVER] },
  // What listens for kiln-run's scripts knows nothing of JavaScript.
  { file: 'libexec/kiln/kiln-run-http.so', no: [CACHE, SHIM, SERVER, SQLITE, V8_SYMBOL] },
  { file: 'toolkit/kiln', no: [HTTP, SERVER, SHIM, V8_SYMBOL] },
  { file: 'server/kilnd', no: [SHIM, V8_SYMBOL] },
  { objects: 'server/CMakeFiles', no: [SHIM, CACHE, SQLITE, V8_SYMBOL] },
];
const MAY_NEED_V8 = /^shim\/libkiln-v8/;

const tool = (name, ...args) => execFileSync(name, args, { encoding: 'utf8', maxBuffer: 1 << 28 });
const isObject = (file) => /\.(o|a)$/.test(file);

// Names without version; of an object file or archive all, of a linked file the dynamic ones and, unless it was
// stripped, all the others.
function symbols(file, ...flags) {
  const tables = isObject(file) || flags.length > 0 ? [[]] : [['-D'], []];
  return tables.flatMap((table) =>
    tool('nm', '-P', ...table, ...flags, file)
      .split('\n')
      .filter((line) => / [A-Za-z]\b/.test(line))
      .map((line) => line.split(' ')[0].split('@')[0]));
}

function* check(root, file, rule) {
  const full = path.join(root, file);
  const seen = new Set(symbols(full));
  for (const pattern of rule.no) {
    const bad = [...seen].filter((name) => pattern.test(name));
    if (bad.length > 0) yield `has symbols ${pattern}: ${bad.slice(0, 5).join(' ')}`;
  }
  if (rule.exports) {
    const bad = symbols(full, '-D', '--defined-only').filter((name) => !rule.exports.test(name));
    if (bad.length > 0) yield `exports more than ${rule.exports}: ${bad.slice(0, 5).join(' ')}`;
  }
  if (isObject(file)) return;
  const dynamic = tool('readelf', '-d', full);
  const needed = [...dynamic.matchAll(/\(NEEDED\).*\[(.*)\]/g)].map((match) => match[1]);
  const v8 = needed.filter((library) => V8_LIBRARY.test(library));
  if (v8.length > 0 && !rule.runsV8 && !MAY_NEED_V8.test(file)) yield `needs ${v8.join(' ')}`;
  if (rule.notLoaded && fs.readdirSync(path.dirname(full)).some((name) => V8_LIBRARY.test(name))) {
    const loaded = tool('ldd', full).split('\n').map((line) => line.trim()).filter((line) => rule.notLoaded.test(line));
    if (loaded.length > 0) yield `loads ${loaded.join(' ')}`;
  }
  // An empty one is the current directory, where anybody's libraries may be.
  const folders = [...dynamic.matchAll(/\(R(?:UN)?PATH\).*\[(.*)\]/g)].flatMap((match) => match[1].split(':'));
  const relative = folders.filter((folder) => !/^(\/|\$ORIGIN(\/|$))/.test(folder));
  if (relative.length > 0) yield `takes libraries from '${relative.join("' '")}'`;
}

function* objects(root, dir) {
  for (const entry of fs.readdirSync(path.join(root, dir), { withFileTypes: true })) {
    const file = path.posix.join(dir, entry.name);
    if (entry.isDirectory()) yield* objects(root, file);
    else if (file.endsWith('.o')) yield file;
  }
}

const root = process.argv[2];
for (const rule of RULES) {
  for (const file of rule.file ? [rule.file] : objects(root, rule.objects)) {
    for (const message of check(root, file, rule)) {
      console.log(`${file}: ${message}`);
      process.exitCode = 1;
    }
  }
}
