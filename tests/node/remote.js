// SPDX-License-Identifier: MIT
//
// remote.js NODE: KILN_URL, against an HTTP server that answers as kilnd does, with blobs of this very node; and
// against servers that fail in every way. The program must say the same each time.
'use strict';

const { spawn, spawnSync } = require('node:child_process');
const fs = require('node:fs');
const http = require('node:http');
const os = require('node:os');
const path = require('node:path');
const { LOADER, engineOf, sha256 } = require('./baker.js');

const node = path.resolve(process.argv[2]);
let checks = 0;
let failures = 0;
function check(what, seen, wanted) {
  checks++;
  if (JSON.stringify(seen) === JSON.stringify(wanted)) return;
  failures++;
  console.log(`not ok - ${what}\n  seen:   ${JSON.stringify(seen)}\n  wanted: ${JSON.stringify(wanted)}`);
}

const MAKE = `const vm = require('vm'); const [filename, line] = process.argv.slice(1);
  process.stdout.write(new vm.Script(require('fs').readFileSync(0, 'utf8'), { filename, lineOffset: +line }).createCachedData());`;

const home = fs.realpathSync(fs.mkdtempSync(path.join(os.tmpdir(), 'kiln-remote-')));
const main = path.join(home, 'main.js');
fs.writeFileSync(main, `console.log(require('./b.js').answer);\n//${'-'.repeat(16384)}\n`);
fs.writeFileSync(path.join(home, 'b.js'), 'exports.answer = [42, __filename.length > 0];');

function run(env) {
  return new Promise((resolve) => {
    const child = spawn(node, ['--require', LOADER, main], { env: { PATH: process.env.PATH, KILN_DEBUG: '1', ...env } });
    let stdout = '';
    let stderr = '';
    child.stdout.on('data', (text) => { stdout += text; });
    child.stderr.on('data', (text) => { stderr += text; });
    child.on('close', (code) => resolve({ code, stdout, used: stderr.split('kiln: used').length - 1, stderr }));
  });
}

async function withServer(behaviour, then) {
  const asked = [];
  const server = http.createServer((request, response) => {
    const parts = [];
    request.on('data', (part) => parts.push(part));
    request.on('end', () => {
      const url = new URL(request.url, 'http://x');
      asked.push(url.pathname);
      behaviour({ request, response, url, body: Buffer.concat(parts) });
    });
  });
  await new Promise((resolve) => { server.listen(0, '127.0.0.1', resolve); });
  const result = await run({ KILN_URL: `http://127.0.0.1:${server.address().port}` });
  server.closeAllConnections?.();
  await new Promise((resolve) => { server.close(resolve); });
  then(result, asked);
}

function kilnd({ response, url, body }, change = {}) {
  if (url.pathname === '/v1/engines') {
    response.end(JSON.stringify({ engines: [{ ...engineOf(node), ...change.engine }] }));
    return;
  }
  const made = spawnSync(node, ['-e', MAKE, url.searchParams.get('filename'), url.searchParams.get('lineOffset')], { input: body });
  response.writeHead(200, { 'Kiln-Key': sha256(body), ...change.unsaid ? {} : { 'Kiln-Sha256': sha256(made.stdout) } });
  const blob = change.blob ? change.blob(made.stdout) : made.stdout;
  response.end(blob);
}

(async () => {
  const plain = (await run({})).stdout;
  const ways = {
    good: [kilnd, 2],
    'another build': [(one) => kilnd(one, { engine: { buildId: '00'.repeat(20) } }), 0],
    'other flags': [(one) => kilnd(one, { engine: { cachedDataVersionTag: 1, nodeVersion: 'x' } }), null],
    'a damaged blob': [(one) => kilnd(one, { blob: (bytes) => { bytes[bytes.length >> 1] ^= 1; return bytes; } }), 0],
    'no digest': [(one) => kilnd(one, { unsaid: true }), 0],
    'a cut blob': [(one) => kilnd(one, { blob: (bytes) => bytes.subarray(0, 40) }), 0],
    'status 500': [({ response }) => { response.statusCode = 500; response.end('{}'); }, 0],
    'no JSON': [({ response }) => response.end('<html>'), 0],
    'a closed connection': [({ request }) => request.socket.destroy(), 0],
    'half an answer': [({ response }) => { response.writeHead(200, { 'Content-Length': 100 }); response.write('x'); setImmediate(() => response.destroy()); }, 0],
  };
  for (const [name, [behaviour, used]] of Object.entries(ways)) {
    await withServer(behaviour, (result, asked) => {
      check(`${name}: stdout`, result.stdout, plain);
      check(`${name}: exit code`, result.code, 0);
      if (used !== null) check(`${name}: blobs used`, result.used, used);
      check(`${name}: asked`, asked.length > 0, true);
      if (process.env.VERBOSE) console.log(name, result.stderr);
    });
  }
  for (const url of ['http://127.0.0.1:1', 'https://127.0.0.1:1', 'no url']) {
    const result = await run({ KILN_URL: url });
    check(`${url}: stdout`, result.stdout, plain);
    check(`${url}: exit code`, result.code, 0);
  }
  fs.rmSync(home, { recursive: true });
  console.log(`node ${engineOf(node).nodeVersion}: ${checks} checks, ${failures} failures`);
  process.exitCode = failures === 0 ? 0 : 1;
})();
