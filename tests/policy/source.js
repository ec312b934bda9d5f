// SPDX-License-Identifier: MIT
//
// Checks what can be read off the source tree: node source.js ROOT
// Layering by includes, C++ and V8 in their place, functions that are banned, file heads, file lengths. It knows
// nothing of how things are built: symbols.js looks at the result. Prints file:line: message, exits with 1 on any.
'use strict';

const fs = require('fs');
const path = require('path');

const LAYERS = ['shim', 'cache', 'toolkit', 'server', 'bench', 'tests'];
const PUBLIC = ['shim/kv8.h', 'shim/kv8_value.h', 'shim/kv8_module.h', 'shim/kv8_fork.h', 'cache/kcc.h',
  'toolkit/kiln.h', 'toolkit/kiln_session.h', 'toolkit/kiln_image.h'];

// The arrows of the design: what a file may include besides its own folder's headers.
const ARROWS = [
  { from: /^shim\//, to: [] },
  { from: /^cache\//, to: [] },
  // Only programs that may die run V8: kiln-engine, and kiln-run for code of its caller's own.
  { from: /^toolkit\/(engine\.h|engine_main\.c|zygote\.c|worker[a-z_]*\.c)$/,
    to: ['shim/kv8.h', 'shim/kv8_fork.h'] },
  { from: /^toolkit\/hosted\//, to: ['shim/kv8.h'] },
  { from: /^toolkit\/run\/[a-z_]*\.[ch]$/, to: ['shim/kv8.h', 'cache/kcc.h'] },
  { from: /^toolkit\//, to: ['cache/kcc.h'] },
  { from: /^server\//, to: ['toolkit/kiln.h'] },
  { from: /^bench\//, to: [...PUBLIC, 'shim/raw/raw.h'] },
  { from: /^tests\/cli\//, to: [...PUBLIC, /^toolkit\//] },
  // A test of a part may look inside that part.
  ...['shim', 'cache', 'toolkit', 'server'].map((layer) => ({
    from: new RegExp(`^tests/${layer}/`),
    to: [...PUBLIC, new RegExp(`^${layer}/`)],
  })),
  // A fuzz target feeds what no public header shows.
  { from: /^tests\/fuzz\//, to: [...PUBLIC, /^(cache|toolkit|server)\//] },
  { from: /^tests\//, to: PUBLIC },
];

const BANNED = /\b(sprintf|vsprintf|strcpy|strcat|strncpy|strtok|atoi|atol|gets|alloca|localtime|gmtime)\s*\(/;

// Which V8 or Node it is asked in one place only.
const VERSIONS = /\b(V8_(MAJOR|MINOR|BUILD)_VERSION|V8_PATCH_LEVEL|NODE_(MAJOR|MINOR|PATCH)_VERSION|NODE_MODULE_VERSION|KV8_V8)\b/;
const VERSIONS_HERE = /^shim\/compat[a-z_]*\.hh$/;

const LINES_MAX = 600;
const LONG = {
  // file: why it is better in one piece
};

function* sources(root, dir) {
  for (const entry of fs.readdirSync(path.join(root, dir), { withFileTypes: true })) {
    const file = path.posix.join(dir, entry.name);
    if (entry.isDirectory()) yield* sources(root, file);
    else if (/\.(c|h|cc|hh|cpp|hpp|cxx)$/.test(entry.name)) yield file;
  }
}

// Blanks comments, and strings if asked, keeping the lines.
function blank(text, strings) {
  const token = /\/\*[\s\S]*?\*\/|\/\/[^\n]*|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'/g;
  return text.replace(token, (found) => (found[0] === '/' || strings ? found.replace(/[^\n]/g, ' ') : found));
}

function checkInclude(file, target, quoted) {
  const layer = file.split('/')[0];
  if (!quoted) {
    if (/^(v8|libplatform|cppgc|node)\b/.test(target) && layer !== 'shim') return `V8's header <${target}> outside shim/`;
    return LAYERS.includes(target.split('/')[0]) ? `<${target}>: Kiln's own headers are included with quotes` : null;
  }
  // A public header's parts are found beside it, also where they are installed.
  if (PUBLIC.includes(file) && PUBLIC.includes(`${layer}/${target}`)) return null;
  if (!LAYERS.includes(target.split('/')[0])) return `"${target}": includes are written from the root`;
  if (target.split('/')[0] === layer) return null;
  const arrow = ARROWS.find(({ from }) => from.test(file));
  const allowed = arrow.to.some((to) => (to instanceof RegExp ? to.test(target) : to === target));
  return allowed ? null : `"${target}": crosses the layers`;
}

function* check(root, file) {
  const text = fs.readFileSync(path.join(root, file), 'utf8');
  if (!/^(\/\*|\/\/) SPDX-License-Identifier: MIT( \*\/)?\n/.test(text)) yield [1, 'does not start with the SPDX line'];
  if (/\.(cc|hh|cpp|hpp|cxx)$/.test(file) && !file.startsWith('shim/')) yield [1, 'C++ outside shim/'];
  const count = text.split('\n').length - 1;
  if (count > LINES_MAX && !LONG[file]) yield [count, `${count} lines, limit ${LINES_MAX}`];

  const includes = blank(text, false).split('\n');
  const code = blank(text, true).split('\n');
  for (let i = 0; i < code.length; i++) {
    const include = includes[i].match(/^\s*#\s*include\s*([<"])([^>"]+)[>"]/);
    const problem = include && checkInclude(file, include[2], include[1] === '"');
    if (problem) yield [i + 1, problem];
    const banned = code[i].match(BANNED);
    if (banned) yield [i + 1, `${banned[1]} is banned`];
    const version = !VERSIONS_HERE.test(file) && code[i].match(VERSIONS);
    if (version) yield [i + 1, `${version[1]}: differences between versions stand in shim/compat*.hh`];
  }
}

const root = process.argv[2];
let files = 0;
for (const layer of LAYERS) {
  if (!fs.existsSync(path.join(root, layer))) continue;
  for (const file of sources(root, layer)) {
    files++;
    for (const [line, message] of check(root, file)) {
      console.log(`${file}:${line}: ${message}`);
      process.exitCode = 1;
    }
  }
}
if (files === 0) {
  console.log(`${root}: no sources`);
  process.exitCode = 1;
}
