// SPDX-License-Identifier: MIT
//
// Shows that each of the policy checks can fail: node selftest.js
// Makes a small clean tree that passes, then plants one breach after the other and expects to be told of each.
'use strict';

const fs = require('fs');
const os = require('os');
const path = require('path');
const { spawnSync } = require('child_process');

const HEAD = '/* SPDX-License-Identifier: MIT */\n';
const temp = fs.mkdtempSync(path.join(os.tmpdir(), 'kiln-policy-'));
process.on('exit', () => fs.rmSync(temp, { recursive: true }));

let cases = 0;
function run(check, root) {
  const command = check.endsWith('.js') ? [process.execPath, path.join(__dirname, check)] : [path.join(__dirname, check)];
  const { status, stdout, stderr } = spawnSync(command[0], [...command.slice(1), root], { encoding: 'utf8' });
  return { status, output: stdout + stderr };
}
function expect(check, root, what, message) {
  cases++;
  const { status, output } = run(check, root);
  const right = message ? status === 1 && output.includes(message) : status === 0;
  if (right) return;
  console.log(`${check}, ${what}: expected ${message ? `"${message}"` : 'no complaint'}, exit status ${status}\n${output}`);
  process.exitCode = 1;
}
function write(root, file, text) {
  fs.mkdirSync(path.dirname(path.join(root, file)), { recursive: true });
  fs.writeFileSync(path.join(root, file), text);
}

// ---- what can be read off the sources

const tree = path.join(temp, 'tree');
const CLEAN = {
  'shim/kv8.h': `${HEAD}int kv8_a(void);\n#include "kv8_value.h"\n`,
  'shim/kv8_value.h': `${HEAD}int kv8_b(void);\n`,
  'shim/kv8_module.h': `${HEAD}int kv8_c(void);\n`,
  'shim/kv8_fork.h': `${HEAD}int kv8_d(void);\n`,
  'shim/engine.cc': `${HEAD}#include <v8.h>\n\n#include "shim/kv8.h"\n`,
  'cache/kcc.h': `${HEAD}int kcc_a(void);\n`,
  'cache/store.c': `${HEAD}#include <sqlite3.h>\n\n#include "cache/kcc.h"\n/* not sprintf(), it says "strcpy(" */\n`,
  'toolkit/kiln.h': `${HEAD}int kiln_a(void);\n`,
  'toolkit/service.c': `${HEAD}#include "cache/kcc.h"\n#include "toolkit/kiln.h"\n`,
  'toolkit/worker_run.c': `${HEAD}#include "shim/kv8.h"\n`,
  'server/main.c': `${HEAD}#include "toolkit/kiln.h"\nchar text[] = "strcpy(a, b)";\nint snprintf();\n`,
  'bench/main.c': `${HEAD}#include "shim/kv8.h"\n`,
  'tests/cache/store_test.c': `${HEAD}#include "cache/store.h"\n#include "shim/kv8.h"\n`,
};
for (const [file, text] of Object.entries(CLEAN)) write(tree, file, text);
expect('source.js', tree, 'a clean tree');
expect('headers.sh', tree, 'a clean tree');
expect('source.js', path.join(temp, 'nothing'), 'an empty tree', 'no sources');

function plant(check, file, text, message) {
  write(tree, file, text);
  expect(check, tree, `${file} with ${JSON.stringify(text)}`, message);
  if (file in CLEAN) write(tree, file, CLEAN[file]);
  else fs.rmSync(path.join(tree, file));
}
plant('source.js', 'shim/a.cc', `${HEAD}#if V8_MAJOR_VERSION > 11\n#endif\n`, 'V8_MAJOR_VERSION');
plant('source.js', 'shim/a.cc', `${HEAD}#if KV8_V8(12, 0)\n#endif\n`, 'KV8_V8');
plant('source.js', 'toolkit/a.c', `${HEAD}int a = NODE_MAJOR_VERSION;\n`, 'NODE_MAJOR_VERSION');
plant('source.js', 'shim/compat_a.hh', `${HEAD}#if KV8_V8(12, 0)\n#endif\n`, '');
const including = (header) => `${HEAD}#include ${header}\n`;
for (const [file, header] of [
  ['shim/a.cc', '"cache/kcc.h"'],
  ['shim/a.cc', '"toolkit/kiln.h"'],
  ['cache/a.c', '"shim/kv8.h"'],
  ['cache/a.c', '"toolkit/kiln.h"'],
  ['toolkit/a.c', '"shim/kv8.h"'],
  ['toolkit/a.c', '"server/reply.h"'],
  ['toolkit/a.c', '"cache/store.h"'],
  ['toolkit/worker.c', '"shim/internal.hh"'],
  ['toolkit/worker.c', '"cache/kcc.h"'],
  ['toolkit/run/a.c', '"shim/internal.hh"'],
  ['toolkit/run/a.c', '"server/reply.h"'],
  ['toolkit/cli.c', '"shim/kv8.h"'],
  ['server/a.c', '"cache/kcc.h"'],
  ['server/a.c', '"shim/kv8.h"'],
  ['server/a.c', '"toolkit/pool.h"'],
  ['bench/a.c', '"toolkit/pool.h"'],
  ['tests/cache/a.c', '"toolkit/pool.h"'],
]) {
  plant('source.js', file, including(header), `${file}:2: ${header}: crosses the layers`);
}
plant('source.js', 'server/a.c', including('<v8.h>'), `V8's header <v8.h> outside shim/`);
plant('source.js', 'toolkit/a.c', including('<libplatform/libplatform.h>'), 'outside shim/');
plant('source.js', 'cache/a.c', including('<cache/kcc.h>'), 'included with quotes');
plant('source.js', 'cache/a.c', including('"kcc.h"'), 'written from the root');
plant('source.js', 'shim/a.cc', including('"kv8_value.h"'), 'written from the root');
plant('source.js', 'toolkit/a.cc', HEAD, 'C++ outside shim/');
plant('source.js', 'cache/a.c', 'int a;\n', 'does not start with the SPDX line');
plant('source.js', 'cache/a.c', HEAD + '\n'.repeat(600), '601 lines, limit 600');
for (const name of ['sprintf', 'vsprintf', 'strcpy', 'strcat', 'strncpy', 'strtok', 'atoi', 'gets', 'alloca', 'gmtime']) {
  plant('source.js', 'cache/a.c', `${HEAD}int f() { return ${name} (0); }\n`, `cache/a.c:2: ${name} is banned`);
}
plant('headers.sh', 'cache/kcc.h', `${HEAD}size_t kcc_size(void);\n`, 'size_t');
plant('headers.sh', 'shim/kv8.h', `${HEAD}struct kv8_a { int class; };\n`, 'class');

// ---- what only the built files tell

const build = path.join(temp, 'build');
function tool(...command) {
  const { status, stderr } = spawnSync(command[0], command.slice(1), { encoding: 'utf8' });
  if (status !== 0) throw new Error(`${command.join(' ')}: ${stderr}`);
}
// Compiles C (or, beginning with "extern", C++) to what the file's name says it is.
function compile(file, code, ...libraries) {
  const output = path.join(build, file);
  fs.mkdirSync(path.dirname(output), { recursive: true });
  write(temp, 'code.cc', code);
  const object = path.join(temp, 'code.o');
  tool('g++', '-c', '-fPIC', '-o', object, path.join(temp, 'code.cc'));
  fs.rmSync(output, { force: true });
  if (file.endsWith('.o')) fs.copyFileSync(object, output);
  else if (file.endsWith('.a')) tool('ar', 'rc', output, object);
  else tool('g++', '-shared', '-nostdlib', '-Wl,--no-as-needed', '-o', output, object, ...libraries);
}
const c = (...declarations) => `extern "C" { ${declarations.join(' ')} }`;
const defines = (name) => c(`void ${name}() {}`);
const calls = (own, name) => c(`void ${name}();`, `void ${own}() { ${name}(); }`);
const callsV8 = (own) => `namespace v8 { struct Isolate { void Exit(); }; } extern "C" void ${own}() { ((v8::Isolate*)0)->Exit(); }`;
const BUILT = {
  'shim/libkiln-v8.so': callsV8('kv8_a'),
  'shim/libkiln-v8.a': callsV8('kv8_a'),
  'cache/libkiln-cache.so': defines('kcc_a'),
  'cache/libkiln-cache.a': calls('kcc_a', 'sqlite3_open'),
  'toolkit/libkiln.so': calls('kiln_a', 'kcc_a'),
  'toolkit/libkiln.a': calls('kiln_a', 'kcc_a'),
  'libexec/kiln/kiln-engine': calls('main_', 'kv8_a'),
  'libexec/kiln/kiln-run': calls('main_', 'kv8_a'),
  'libexec/kiln/kiln-run-http.so': calls('kiln__a', 'MHD_a'),
  'toolkit/kiln': calls('main_', 'kcc_a'),
  'server/kilnd': calls('main_', 'kiln_a'),
  'server/CMakeFiles/kilnd.dir/main.c.o': calls('main_', 'kiln_a'),
};
for (const [file, code] of Object.entries(BUILT)) compile(file, code);
expect('symbols.js', build, 'a clean build');

function plantBuilt(file, code, message, ...libraries) {
  compile(file, code, ...libraries);
  expect('symbols.js', build, `${file} with ${code}`, `${file}: ${message}`);
  compile(file, BUILT[file]);
}
for (const suffix of ['so', 'a']) {
  for (const name of ['kcc_a', 'kiln_a', 'srv_a', 'MHD_a', 'sqlite3_a']) {
    plantBuilt(`shim/libkiln-v8.${suffix}`, calls('kv8_a', name), 'has symbols');
  }
  for (const name of ['kv8_a', 'kiln_a', 'srv_a', 'MHD_a']) {
    plantBuilt(`cache/libkiln-cache.${suffix}`, calls('kcc_a', name), 'has symbols');
  }
  for (const name of ['kv8_a', 'srv_a', 'MHD_a', 'sqlite3_a']) {
    plantBuilt(`toolkit/libkiln.${suffix}`, calls('kiln_a', name), 'has symbols');
  }
  plantBuilt(`cache/libkiln-cache.${suffix}`, callsV8('kcc_a'), 'has symbols');
  plantBuilt(`toolkit/libkiln.${suffix}`, callsV8('kiln_a'), 'has symbols');
}
plantBuilt('server/kilnd', callsV8('main_'), 'has symbols');
plantBuilt('server/kilnd', calls('main_', 'kv8_a'), 'has symbols');
plantBuilt('server/CMakeFiles/kilnd.dir/main.c.o', calls('main_', 'kcc_a'), 'has symbols');
plantBuilt('server/CMakeFiles/kilnd.dir/main.c.o', calls('main_', 'sqlite3_a'), 'has symbols');
plantBuilt('toolkit/kiln', calls('main_', 'kv8_a'), 'has symbols');
plantBuilt('libexec/kiln/kiln-engine', calls('main_', 'sqlite3_a'), 'has symbols');
plantBuilt('libexec/kiln/kiln-run-http.so', calls('kiln__a', 'kv8_a'), 'has symbols');
plantBuilt('libexec/kiln/kiln-run', calls('main_', 'MHD_a'), 'has symbols');
plantBuilt('shim/libkiln-v8.so', defines('helper'), 'exports more than');
plantBuilt('cache/libkiln-cache.so', defines('sha256'), 'exports more than');
plantBuilt('toolkit/libkiln.so', defines('json_check'), 'exports more than');
const fake = path.join(temp, 'libnode.so.108');
tool('g++', '-shared', '-nostdlib', '-Wl,-soname,libnode.so.108', '-o', fake, path.join(temp, 'code.o'));
for (const file of ['server/kilnd', 'toolkit/libkiln.so', 'cache/libkiln-cache.so']) {
  plantBuilt(file, BUILT[file], 'needs libnode.so.108', fake);
}

console.log(`${cases} cases`);
