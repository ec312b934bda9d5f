// SPDX-License-Identifier: MIT
//
// What the loader must not change: each case is a program that is run with and without it, and must say the same. A case
// is { files, args?, flags?, env?, uses?, since?, until? }: `uses` is how many files must have been taken from blobs
// (default: at least one), 0 where the loader has to step aside.
'use strict';

const THROW = 'function f() { throw new Error("boom"); }\nf();\n';
const PRINT_MODULE = `
  const shape = (m) => m && [m.id.replace(__dirname, ''), m.loaded, m.children.length, m.paths.length > 0];
  console.log(JSON.stringify([shape(module), shape(module.parent), require.main === module,
    Object.keys(require), Object.keys(require.resolve), require.resolve('./b.js').replace(__dirname, ''),
    require.resolve.paths('x').length, this === module.exports, this === exports, arguments.length,
    typeof __filename, __dirname === require('path').dirname(__filename)]));`;

module.exports = {
  'require: cache, main, parent, children, paths': {
    files: { 'main.js': `${PRINT_MODULE} require('./b.js'); require('./b.js');
      console.log(module.children.map((m) => m.id.replace(__dirname, '')), Object.keys(require.cache).length);
      delete require.cache[require.resolve('./b.js')]; require('./b.js');`,
    'b.js': `${PRINT_MODULE} console.log('b again', require.main === module.parent);` },
    uses: 3,
  },
  'cycle of require': {
    files: { 'main.js': 'console.log(require("./b.js"));',
      'b.js': 'exports.early = 1; exports.c = require("./c.js"); exports.late = 2;',
      'c.js': 'exports.seen = { ...require("./b.js") };' },
    uses: 3,
  },
  'require.extensions, .cjs, .json, no extension': {
    files: { 'main.cjs': `console.log(Object.keys(require.extensions), require('./x.json'), require('./b.cjs'),
      require('./tool'), typeof require.extensions['.js'], require.extensions['.js'].length);`,
    'x.json': '{"x":[1,{"y":null}]}', 'b.cjs': 'module.exports = __filename.slice(-5);', tool: 'module.exports = 7;' },
    uses: 3,
  },
  'a bad JSON file': { files: { 'main.js': 'require("./x.json");', 'x.json': '{"x":' } },
  'an error on line 1': { files: { 'main.js': 'const a = 1; throw new TypeError("first line");' }, status: 1 },
  'an error further down': { files: { 'main.js': `// one\n// two\n${THROW}`, }, status: 1 },
  'an error in a module, its position caught': {
    files: { 'main.js': 'try { require("./b.js"); } catch (e) { console.log(e.stack.split("\\n").slice(0, 2)); }',
      'b.js': '"use strict"; null.x;' },
    uses: 2,
  },
  'call sites': {
    files: { 'main.js': `Error.prepareStackTrace = (_, sites) => sites[0];
      const site = new Error().stack; const first = require('./b.js');
      console.log(site.getLineNumber(), site.getColumnNumber(), first.getLineNumber(), first.getColumnNumber(),
        first.getFileName() === require.resolve('./b.js'), first.getFunctionName(), first.isToplevel());`,
    'b.js': 'module.exports = new Error().stack;' },
    uses: 2,
  },
  'strict and sloppy': {
    files: { 'main.js': 'console.log(this === exports, (function() { return this === globalThis; })(), require("./s.js"));',
      's.js': '"use strict"; module.exports = (function() { return this; })() === undefined;' },
    uses: 2,
  },
  '#! and a byte order mark': {
    files: { 'main.js': '#!/usr/bin/env node\nconsole.log(require("./b.js"), new Error().stack.split("\\n")[1]);',
      'b.js': '\ufeffmodule.exports = [__filename.length > 0, new Error().stack.split("\\n")[1].slice(-20)];' },
    uses: 2,
  },
  'other characters than ASCII': {
    files: { 'main.js': 'console.log("ä€𝒳", require("./b.js").length);',
      'b.js': `module.exports = '${'ü𝒳'.repeat(300)}'; // ${'é'.repeat(99)}` },
    uses: 2,
  },
  'source text of functions': {
    files: { 'main.js': 'function f(a, b) { return a + b; /* ü */ }\nconsole.log(f.toString(), (class A { m() {} }).toString());' },
  },
  'functions that were not in the blob': {
    files: { 'main.js': `const late = require('./b.js'); if (process.argv[2] === 'late') console.log(late());`,
      'b.js': 'module.exports = () => { class Q { #x = 4; get() { return this.#x; } } return new Q().get() + __filename.length * 0; };' },
    args: ['late'],
  },
  'import() of what a file may call': {
    files: { 'main.js': 'import("./b.mjs").then((ns) => console.log(ns.default, Object.keys(ns)));',
      'b.mjs': 'import c from "./c.cjs"; export default c; export const x = 1;', 'c.cjs': 'module.exports = "c";' },
    uses: null,
  },
  'import() in eval and Function': {
    files: { 'main.js': 'eval("import(\'./b.mjs\')").then((ns) => console.log(ns.default));\n' +
      'new Function("return import(\'fs\')")().then((fs) => console.log(typeof fs.openSync));',
    'b.mjs': 'export default "evaluated";' },
    uses: null,
  },
  'import() in messages only': {
    files: { 'main.js': '// import("x")\nconsole.log("import(y)", `import(${1})`.length);' },
  },
  'ES modules import CommonJS': {
    files: { 'main.mjs': 'import b, { x } from "./b.cjs"; import * as ns from "./c.js"; console.log(b, x, Object.keys(ns));',
      'b.cjs': 'exports.x = 1; exports.y = require("./c.js");', 'c.js': 'module.exports = { z: 3 };' },
    main: 'main.mjs',
    uses: null,
  },
  'require() of an ES module': {
    files: { 'main.js': 'try { console.log(require("./b.mjs").x); } catch (e) { console.log(e.code); }',
      'b.mjs': 'export const x = "x";' },
  },
  'a cycle through require() of an ES module': {
    files: { 'main.js': 'exports.a = 1; try { console.log(require("./b.mjs").seen); } catch (e) { console.log(e.code); }',
      'b.mjs': 'import a from "./main.js"; export const seen = a;' },
    uses: null,
  },
  '"type": "module" beside': {
    files: { 'main.cjs': 'try { require("./m/x.js"); } catch (e) { console.log(e.code); }', 'm/package.json': '{"type":"module"}',
      'm/x.js': 'export const x = 1; console.log(typeof require);' },
    main: 'main.cjs',
  },
  'Module.wrap is patched': {
    files: { 'main.js': `const M = require('module'); const { wrap } = M;
      M.wrap = (s) => wrap('console.log("wrapped");' + s); require('./b.js');`, 'b.js': 'console.log("b");' },
    uses: 1,
  },
  'Module.wrapper is patched': {
    files: { 'main.js': 'require("module").wrapper[0] += "console.log(1);"; require("./b.js");', 'b.js': 'console.log("b");' },
    uses: 1,
  },
  'require.extensions is patched, as pirates does': {
    files: { 'main.js': `const old = require.extensions['.js'];
      require.extensions['.js'] = function(m, f) { const c = m._compile;
        m._compile = function(code, f) { m._compile = c; m._compile(code.replace('one', 'two'), f); }; old(m, f); };
      require('./b.js');`, 'b.js': 'console.log("one");' },
    uses: 1,
  },
  'Module.prototype._compile is patched': {
    files: { 'main.js': `const M = require('module'); const c = M.prototype._compile;
      M.prototype._compile = function(code, ...r) { return c.call(this, code.replace('one', 'two'), ...r); };
      require('./b.js');`, 'b.js': 'console.log("one");' },
    uses: 1,
  },
  'fs.readFileSync is patched': {
    files: { 'main.js': `const fs = require('fs'); const { readFileSync } = fs;
      fs.readFileSync = (f, ...r) => readFileSync(f, ...r); require('./b.js');`, 'b.js': 'console.log("b");' },
    uses: 1,
  },
  'a preload changed the loader before': {
    files: { 'main.js': 'console.log("one");', 'hook.js': `const M = require('module'); const old = M._extensions['.js'];
      M._extensions['.js'] = (m, f) => old(m, f);` },
    before: ['--require', './hook.js'], uses: 0,
  },
  'module.registerHooks': {
    files: { 'main.js': `const { registerHooks } = require('module');
      registerHooks({ load(url, c, next) { const r = next(url, c);
        return url.endsWith('b.js') ? { ...r, source: String(r.source).replace('one', 'two') } : r; } });
      require('./b.js'); console.log(require.resolve('./b.js').length > 0);`, 'b.js': 'console.log("one");' },
    since: 22, uses: 1,
  },
  'module.registerHooks by import': {
    files: { 'main.mjs': `import { registerHooks, createRequire } from 'module';
      registerHooks({ load(url, c, next) { const r = next(url, c);
        return url.endsWith('b.js') ? { ...r, source: String(r.source).replace('one', 'two') } : r; } });
      createRequire(import.meta.url)('./b.js');`, 'b.js': 'console.log("one");' },
    main: 'main.mjs', since: 22, uses: 0,
  },
  'type stripping': {
    files: { 'main.js': 'console.log(require("./b.ts").x);', 'b.ts': 'const x: number = 1; module.exports = { x };' },
    since: 24,
  },
  'source maps': {
    files: { 'main.js': `${THROW}//# sourceMappingURL=data:application/json,{"version":3,"sources":["o.ts"],"names":[],"mappings":"AAAA;AACA"}\n` },
    flags: ['--enable-source-maps'], status: 1, uses: 0,
  },
  'source maps switched on while running': {
    files: { 'main.js': 'process.setSourceMapsEnabled(true); try { require("./b.js"); } catch (e) { console.log(e.stack.split("\\n").slice(0, 2)); }',
      'b.js': `\n${THROW}//# sourceMappingURL=data:application/json,{"version":3,"sources":["o.ts"],"names":[],"mappings":"AAAA;AACA;AACA"}\n` },
    uses: 1,
  },
  'an inspector': { files: { 'main.js': 'console.log(1);' }, flags: ['--inspect=127.0.0.1:0'], uses: 0, ignoreStderr: true },
  'V8 flags': { files: { 'main.js': 'console.log(1);' }, flags: ['--stack-size=900'], uses: 0 },
  'symbolic links': {
    files: { 'real/main.js': 'console.log(__filename.includes("real"), require("./b.js"));', 'real/b.js': 'module.exports = 2;' },
    main: 'link/main.js', link: ['link', 'real'], uses: 2,
  },
  '--preserve-symlinks': {
    files: { 'real/main.js': 'console.log(__filename.includes("real"), require("./b.js"));', 'real/b.js': 'module.exports = 2;' },
    main: 'link/main.js', link: ['link', 'real'], flags: ['--preserve-symlinks', '--preserve-symlinks-main'], uses: null,
  },
  'worker threads': {
    files: { 'main.js': `const { Worker } = require('worker_threads'); const w = new Worker(require.resolve('./w.js'));
      w.on('message', (m) => console.log(m)); w.on('exit', (c) => console.log('exit', c));`,
    'w.js': 'require("worker_threads").parentPort.postMessage([require("./b.js"), require.main === module]);',
    'b.js': 'module.exports = "b";' },
    uses: 2,
  },
  'child processes by NODE_OPTIONS': {
    files: { 'main.js': `const { execFileSync } = require('child_process');
      if (!process.argv[2]) console.log(String(execFileSync(process.execPath, [__filename, 'child'], { stdio: ['ignore', 'pipe', 'ignore'] })));
      else console.log(require('./b.js'));`, 'b.js': 'module.exports = "in the child";' },
    options: true,
  },
  'process.exit and an exit handler': {
    files: { 'main.js': 'process.on("exit", (c) => console.log("exit", c)); require("./b.js");', 'b.js': 'process.exit(3);' },
    uses: 2, status: 3,
  },
  'an unhandled rejection': { files: { 'main.js': 'Promise.reject(new Error("no"));' }, status: 1 },
  'a SyntaxError in a file that is not baked': {
    files: { 'main.js': 'require("./b.js");', 'b.js': 'let x = ;\n' }, status: 1,
  },
  'a text that ends the wrapper itself': {
    files: { 'main.js': 'try { require("./b.js"); } catch (e) { console.log(e.name); }', 'b.js': '}); (function() { console.log("out");' },
  },
  'a top-level return and arguments': {
    files: { 'main.js': 'console.log(arguments.length, arguments[2] === module); return; throw 1;' },
  },
  'the main script is replaced by another of its length': {
    files: { 'main.js': 'console.log(require("./b.js"));', 'b.js': 'module.exports = "old";' },
    change: { 'b.js': 'module.exports = "new";' }, uses: 1,
  },
  'the folder is removed while the program runs': {
    files: { 'main.js': `require('fs').rmSync(process.env.KILN_BAKED || 'x', { recursive: true, force: true }); require('./b.js');`,
      'b.js': 'console.log("b");' },
    removes: true,
  },
  'NODE_V8_COVERAGE': { files: { 'main.js': 'console.log(1);' }, env: { NODE_V8_COVERAGE: 'coverage' }, uses: 0 },
  'a program that changes process.emitWarning, and warnings': {
    files: { 'main.js': 'process.emitWarning("told"); process.once("warning", (w) => console.log(w.message)); import("./b.mjs");',
      'b.mjs': 'console.log("b");' },
    uses: null,
  },
  'a plain folder of permissions': {
    files: { 'main.js': 'console.log(require("./b.js"));', 'b.js': 'module.exports = 1;' },
    permission: true, since: 20,
  },
};
