// SPDX-License-Identifier: MIT
//
// node matrix.js KILN NODES REGISTRY: bakes real bundles for each official Node as scripts, functions and modules, has
// that very Node load them with the blob and without, and compares what they compute. Prints the matrix engine x kind x
// bundle; exits with 1 if a cell is not as it should be.
'use strict';

const { spawnSync } = require('child_process');
const fs = require('fs');
const os = require('os');
const path = require('path');

const [kiln, nodes, registry] = process.argv.slice(2);
const VERSIONS = ['18', '20', '22', '24', '26'];
const SCRIPTS = [
  'typescript/lib/typescript.js', 'react-dom/cjs/react-dom-client.production.js', 'lodash/lodash.js',
  'three/build/three.cjs', 'd3/dist/d3.js', 'vue/dist/vue.global.js', 'prettier/plugins/typescript.js',
];
// Of react-dom, lodash and typescript there is no ES module build.
const MODULES = [
  'three/build/three.core.js', 'vue/dist/vue.esm-browser.js', 'prettier/standalone.mjs', 'prettier/plugins/typescript.mjs',
  'd3-hierarchy/dist/d3-hierarchy.mjs', 'd3-color/dist/d3-color.mjs', 'acorn/dist/acorn.mjs',
];
const KINDS = { script: SCRIPTS, function: SCRIPTS, module: MODULES };
const PARAMS = 'exports,require,module,__filename,__dirname';

const temp = fs.mkdtempSync(path.join(os.tmpdir(), 'kiln-matrix-'));
process.on('exit', () => fs.rmSync(temp, { recursive: true, force: true }));
const env = { PATH: process.env.PATH, HOME: temp };

function run(program, args) {
  const result = spawnSync(program, args, { encoding: 'utf8', env, maxBuffer: 1 << 26, timeout: 120000 });
  return { ok: result.status === 0, out: result.stdout, err: result.stderr || String(result.error || '') };
}

// Runs in the Node under test: loads one file, with a blob or without; prints what it computed.
const judge = `
'use strict';
const real = require; const fs = real('fs'), vm = real('vm'), crypto = real('crypto');
const [kind, file, blob] = process.argv.slice(1);
const text = fs.readFileSync(file, 'utf8');
const cachedData = blob ? fs.readFileSync(blob) : undefined;
// The names and types of all that came out, and of what a few calls give.
function digest(value) {
  const seen = new Set();
  const lines = [];
  (function walk(value, name, depth) {
    const type = value === null ? 'null' : typeof value;
    let shown = '';
    if (type === 'function') shown = value.length + ':' + crypto.createHash('sha1').update(Function.prototype.toString.call(value)).digest('hex');
    else if (type !== 'object' && type !== 'symbol') shown = String(value).slice(0, 200);
    lines.push(name + ' ' + type + ' ' + shown);
    if ((type !== 'object' && type !== 'function') || seen.has(value) || depth > 2) return;
    seen.add(value);
    for (const key of Object.getOwnPropertyNames(value).sort()) {
      const property = Object.getOwnPropertyDescriptor(value, key);
      if (property && 'value' in property) walk(property.value, name + '.' + key, depth + 1);
    }
  })(value, '', 0);
  return lines.length + ' ' + crypto.createHash('sha256').update(lines.join('\\n')).digest('hex');
}
function calls(api) {
  const results = [];
  const call = (what) => { try { results.push(JSON.stringify(what())); } catch (error) { results.push(error.name); } };
  call(() => api.chunk(api.range(10), 3));
  call(() => api.transpile('const a: number = 1; class B<T> { c?: T }'));
  call(() => new api.Matrix4().makeRotationX(1).multiply(new api.Matrix4().makeScale(1, 2, 3)).elements);
  call(() => api.scaleLinear([0, 10], [0, 1])(3) + api.interpolateRgb('red', 'blue')(0.5));
  call(() => api.compile ? String(api.compile('<p>{{ a }}</p>')) : api.version);
  call(() => Object.keys(api.parsers || {}));
  call(() => api.rgb('steelblue').formatHex() + api.hsl('#123').toString());
  call(() => [5, 1, 3].sort(api.default));
  return results;
}
async function main() {
  let api, rejected;
  if (kind === 'module') {
    const module = new vm.SourceTextModule(text, { identifier: file, cachedData });
    rejected = cachedData ? false : undefined; // it throws if it is
    await module.link((specifier) => { throw new Error(specifier); });
    await module.evaluate();
    api = Object.assign({}, module.namespace);
  } else {
    const local = { exports: {} };
    const load = (name) => {
      if (name === 'react') return { __CLIENT_INTERNALS_DO_NOT_USE_OR_WARN_USERS_THEY_CANNOT_UPGRADE: {}, version: '19.3.1', useSyncExternalStore() {} };
      if (name === 'react-dom' || name === 'scheduler') return { __DOM_INTERNALS_DO_NOT_USE_OR_WARN_USERS_THEY_CANNOT_UPGRADE: { d: {} } };
      return real(name);
    };
    if (kind === 'function') {
      const compiled = vm.compileFunction(text, ${JSON.stringify(PARAMS)}.split(','), { filename: file, cachedData });
      rejected = compiled.cachedDataRejected;
      compiled.call(local.exports, local.exports, load, local, file, require('path').dirname(file));
      api = local.exports;
    } else {
      const script = new vm.Script(text, { filename: file, cachedData });
      rejected = script.cachedDataRejected;
      globalThis.module = local; globalThis.exports = local.exports; globalThis.require = load;
      globalThis.__filename = file; globalThis.__dirname = require('path').dirname(file);
      script.runInThisContext();
      api = Object.keys(local.exports).length > 0 || typeof local.exports === 'function' ? local.exports : globalThis.Vue || globalThis.ts || {};
    }
  }
  console.log(JSON.stringify({ rejected, digest: digest(api), calls: calls(api) }));
}
main().catch((error) => { console.error(error.stack); process.exit(1); });
`;

function load(node, kind, file, blob) {
  const result = run(node, ['--experimental-vm-modules', '--no-warnings', '-e', judge, kind, file, ...(blob ? [blob] : [])]);
  return result.ok ? JSON.parse(result.out.trim().split('\n').pop()) : { error: result.err.trim().split('\n').slice(0, 3).join(' | ') };
}

let checks = 0;
let failures = 0;
const rows = [];
for (const version of VERSIONS) {
  const node = path.join(nodes, `node-${version}`, 'bin/node');
  const engine = `node-${run(node, ['-p', 'process.versions.node']).out.trim()}`;
  for (const [kind, bundles] of Object.entries(KINDS)) {
    const files = bundles.map((name) => fs.realpathSync(path.join(nodes, name)));
    const out = path.join(temp, `${version}-${kind}`);
    const options = kind === 'function' ? ['--kind', 'function', '--params', PARAMS] : ['--kind', kind];
    const baked = run(kiln, ['precompile', '--quiet', '--store', path.join(temp, 'store'), '--engines-dir', registry,
      '--engine', engine, '--out', out, '--files', '--root', nodes, ...options, ...files]);
    const cells = [];
    for (const file of files) {
      const name = path.relative(fs.realpathSync(nodes), file);
      const blob = path.join(out, engine, `${name}.cache`);
      checks++;
      let verdict = 'ok';
      if (!baked.ok || !fs.existsSync(blob)) verdict = `not baked: ${baked.err.slice(0, 300)}`;
      else {
        const without = load(node, kind, file);
        const withBlob = load(node, kind, file, blob);
        if (without.error) verdict = `does not load at all: ${without.error}`;
        else if (withBlob.error) verdict = `refused: ${withBlob.error}`;
        else if (withBlob.rejected !== false) verdict = `cachedDataRejected is ${withBlob.rejected}`;
        else if (withBlob.digest !== without.digest || String(withBlob.calls) !== String(without.calls)) verdict = 'computes something else';
      }
      if (verdict !== 'ok') {
        failures++;
        console.log(`${engine} ${kind} ${name}: ${verdict}`);
      }
      cells.push(`${path.basename(name)} ${verdict === 'ok' ? 'ok' : 'FAILED'}`);
    }
    rows.push(`${engine.padEnd(14)} ${kind.padEnd(9)} ${cells.join(', ')}`);
  }
}
console.log(rows.join('\n'));
console.log(`${Math.floor((100 * (checks - failures)) / checks)}%: Checks: ${checks}, Failures: ${failures}, Errors: 0`);
process.exitCode = failures === 0 ? 0 : 1;
