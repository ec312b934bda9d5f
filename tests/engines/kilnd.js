// SPDX-License-Identifier: MIT
//
// node kilnd.js KILND ENGINE-PROGRAM NODES REGISTRY LOADER: one kilnd with engines of several Nodes: each takes what was
// baked for it, requests name engines, look-ups are explained, and the loader fetches from it.
'use strict';

const assert = require('assert');
const { spawnSync } = require('child_process');
const fs = require('fs');
const path = require('path');
const { Kilnd, temporaryFolder } = require('../kilnd.js');
const { request } = require('../http.js');

const [kilndProgram, program, nodes, registry, loader] = process.argv.slice(2);
const temp = temporaryFolder();
const VERSIONS = { 18: 'node-18.20.4', 20: 'node-20.20.2', 22: 'node-22.23.3', 24: 'node-24.21.0', 26: 'node-26.10.0' };
const text = `const words = ${JSON.stringify('a b c'.repeat(2000))}.split(' ');\nmodule.exports = words.length;\n`;

let kilnd;
function ask(method, url, body, headers = {}) {
  return request(kilnd.port, method, url, { body, headers: body === undefined ? headers : { 'Content-Type': 'text/javascript', ...headers } });
}

const tests = {
  async 'every engine is listed, the default first'() {
    const { engines } = (await ask('GET', '/v1/engines')).json();
    assert.deepStrictEqual(engines.map((engine) => engine.name), ['node-18', ...Object.values(VERSIONS)]);
    assert.strictEqual(new Set(engines.map((engine) => engine.fingerprint)).size, engines.length);
    assert.deepStrictEqual(engines.map((engine) => engine.verifiesChecksum), [true, true, false, false, false, false]);
  },
  async 'each Node takes what was baked for it, and no other engine gets it'() {
    const seen = new Set();
    for (const [version, name] of Object.entries(VERSIONS)) {
      const url = `/v1/createCachedData?filename=a.js&engine=${version === '18' ? name : `node-${version}`}`;
      const made = await ask('POST', url, text);
      assert.strictEqual(made.status, 200);
      assert.strictEqual(made.headers['kiln-engine'], name);
      assert.strictEqual(made.headers['kiln-cache'], 'miss');
      assert.ok(!seen.has(made.headers['kiln-key']));
      seen.add(made.headers['kiln-key']);
      const again = await ask('POST', url, text);
      assert.strictEqual(again.headers['kiln-cache'], 'hit');
      assert.strictEqual(again.headers['kiln-reason'], 'hit');
      assert.strictEqual(require('crypto').createHash('sha256').update(made.bytes).digest('hex'), made.headers['kiln-sha256']);
      const blob = path.join(temp, `${version}.blob`);
      fs.writeFileSync(blob, made.bytes);
      const code = `const vm=require('vm');console.log(new vm.Script(${JSON.stringify(text)},{filename:'a.js',cachedData:require('fs').readFileSync(${JSON.stringify(blob)})}).cachedDataRejected)`;
      assert.strictEqual(spawnSync(path.join(nodes, `node-${version}`, 'bin/node'), ['-e', code], { encoding: 'utf8' }).stdout, 'false\n');
    }
  },
  async 'runs and measurements are the named engine\'s'() {
    for (const name of Object.values(VERSIONS)) {
      const ran = (await ask('POST', `/v1/run?engine=${name}`, '[typeof process, typeof require, [1, 2].at(-1)]')).json();
      assert.deepStrictEqual(ran.result, ['undefined', 'undefined', 2]);
    }
    const found = (await ask('POST', '/v1/run?engine=node-24', 'Object.groupBy([1, 2], (x) => x % 2 ? "odd" : "even")')).json();
    assert.deepStrictEqual(found.result, { odd: [1], even: [2] });
    const measured = await ask('POST', '/v1/measureMemory', JSON.stringify({ engine: 'node-26', execution: 'eager', contexts: [{ name: 'a' }] }), { 'Content-Type': 'application/json' });
    assert.match(measured.json().v8Version, /^14\.6/);
  },
  async 'sessions are the named engine\'s, and that Node takes what they bake'() {
    const json = { 'Content-Type': 'application/json' };
    for (const [version, name] of Object.entries(VERSIONS)) {
      const context = (await ask('POST', '/v1/contexts', JSON.stringify({ engine: name, globals: { n: 1 } }), json)).json();
      assert.strictEqual((await ask('GET', `/v1/sessions/${context.session}`)).json().engine, name);
      assert.strictEqual((await ask('POST', `/v1/contexts/${context.id}/run`, 'n += 41')).json().result, 42);
      const module = (await ask('POST', `/v1/modules?context=${context.id}`, 'export default n')).json();
      assert.strictEqual((await ask('POST', `/v1/modules/${module.id}/link`)).json().status, 'linked');
      assert.strictEqual((await ask('POST', `/v1/modules/${module.id}/evaluate`)).json().status, 'evaluated');
      assert.deepStrictEqual((await ask('GET', `/v1/modules/${module.id}/namespace`)).json(), { default: 42 });
      const script = (await ask('POST', `/v1/scripts?session=${context.session}&filename=s.js`, text)).json();
      const blob = path.join(temp, `${version}.session.blob`);
      fs.writeFileSync(blob, (await ask('GET', `/v1/scripts/${script.id}/createCachedData`)).bytes);
      const code = `const vm=require('vm');console.log(new vm.Script(${JSON.stringify(text)},{filename:'s.js',cachedData:require('fs').readFileSync(${JSON.stringify(blob)})}).cachedDataRejected)`;
      assert.strictEqual(spawnSync(path.join(nodes, `node-${version}`, 'bin/node'), ['-e', code], { encoding: 'utf8' }).stdout, 'false\n');
      assert.strictEqual((await ask('DELETE', `/v1/sessions/${context.session}`)).status, 204);
      assert.strictEqual((await ask('GET', `/v1/contexts/${context.id}/globals`)).status, 410);
    }
  },
  async 'an unknown engine is told with those there are'() {
    const refused = await ask('POST', '/v1/run?engine=node-99', '1');
    assert.strictEqual(refused.status, 400);
    assert.match(refused.json().error.message, /'node-99': unknown, there is 'node-18', 'node-18.20.4'/);
  },
  async 'look-ups are explained'() {
    const changed = `${text}// more\n`;
    const miss = (await ask('POST', '/v1/explain?filename=a.js&engine=node-22', changed)).json();
    assert.strictEqual(miss.outcome, 'miss');
    assert.strictEqual(miss.causes[0].code, 'source_length');
    assert.strictEqual(miss.candidate, null); // not this asker's
    const other = (await ask('POST', '/v1/explain?filename=b.js&engine=node-22', text)).json();
    assert.strictEqual(other.causes[0].code, 'filename');
    const hit = (await ask('POST', '/v1/explain?filename=a.js&engine=node-22', text)).json();
    assert.strictEqual(hit.outcome, 'hit');
    const byKey = (await ask('GET', `/v1/explain?key=${hit.key}&engine=node-24`)).json();
    assert.strictEqual(byKey.outcome, 'miss');
    assert.strictEqual(byKey.causes[0].code, 'engine_v8_version');
    assert.strictEqual((await ask('GET', '/v1/explain?key=zz')).status, 400);
    assert.strictEqual((await ask('DELETE', '/v1/explain')).status, 405);
    const made = await ask('POST', '/v1/createCachedData?filename=a.js&engine=node-22', changed);
    assert.strictEqual(made.headers['kiln-reason'], 'source_length');
    const { reasons, kiln } = (await ask('GET', '/v1/stats')).json();
    assert.ok(reasons.hit >= 5 && reasons.never_baked >= 1 && reasons.source_length === 1);
    assert.ok(kiln.canary_runs >= 4);
    assert.strictEqual(kiln.canary_failures, 0);
  },
  async 'the loader fetches from it'() {
    const app = path.join(temp, 'app.js');
    fs.writeFileSync(path.join(temp, 'lib.js'), text);
    fs.writeFileSync(app, "console.log(require('./lib.js'));\n");
    for (const version of ['22', '24']) {
      const result = spawnSync(path.join(nodes, `node-${version}`, 'bin/node'), ['--require', loader, app], { encoding: 'utf8', env: { PATH: process.env.PATH, KILN_URL: `http://127.0.0.1:${kilnd.port}`, KILN_DEBUG: '1' } });
      assert.strictEqual(result.status, 0, result.stderr);
      assert.match(result.stderr, /used '.*lib\.js'/);
    }
  },
};

async function main() {
  kilnd = await Kilnd.start(kilndProgram, program, ['--engines-dir', registry, '--engine', 'default', ...Object.values(VERSIONS).flatMap((name) => ['--engine', name])]);
  let failures = 0;
  for (const [name, test] of Object.entries(tests)) {
    try {
      await test();
      console.log(`ok ${name}`);
    } catch (error) {
      failures++;
      console.log(`not ok ${name}\n${error.stack}`);
    }
  }
  const status = await kilnd.stop();
  if (failures > 0 || status !== 0) console.log(`kilnd ended with ${status}:\n${kilnd.log}`);
  const count = Object.keys(tests).length;
  console.log(`${Math.floor((100 * (count - failures)) / count)}%: Checks: ${count}, Failures: ${failures}, Errors: 0`);
  process.exitCode = failures === 0 && status === 0 ? 0 : 1;
}
main().catch((error) => {
  console.log(error.stack);
  process.exitCode = 1;
});
