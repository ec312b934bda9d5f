// SPDX-License-Identifier: MIT
//
// That the harness and the judge of conformance can fail: node selftest.js
'use strict';

const assert = require('assert');
const { spawnSync } = require('child_process');
const fs = require('fs');
const os = require('os');
const path = require('path');

const scratch = fs.mkdtempSync(path.join(os.tmpdir(), 'kiln-vm-'));
process.on('exit', () => fs.rmSync(scratch, { recursive: true, force: true }));
const write = (name, text) => {
  const file = path.join(scratch, name);
  fs.mkdirSync(path.dirname(file), { recursive: true });
  fs.writeFileSync(file, text);
  return file;
};
const node = (...args) => spawnSync(process.execPath, args, { encoding: 'utf8' });

// The harness.
const harness = JSON.stringify(path.join(__dirname, 'harness.js'));
function program(body) {
  const file = write('program.js', `const { test, throws, rejects } = require(${harness});\n${body}`);
  return node(file);
}
const good = program('test("SC01", "holds", () => {}); test("SC02", "later", async () => { await null; })');
assert.strictEqual(good.stdout, 'ok SC01 holds\nok SC02 later\n2 tests, 0 failed\n');
assert.strictEqual(good.status, 0);
for (const body of [
  'test("SC01", "throws", () => { throw new Error("why"); })',
  'test("SC01", "rejects", async () => { throw undefined; })',
  'test("SC01", "nothing thrown", () => throws(() => {}, {}))',
  'test("SC01", "wrong code", () => throws(() => { throw new Error("x"); }, "ERR_X"))',
  'test("SC01", "wrong message", () => rejects(Promise.reject(new Error("x")), { message: /y/ }))',
  'test("SC01", "not rejected", () => rejects(Promise.resolve(), {}))',
  'test("SC01", "never ends", () => new Promise(() => {}))',
  'test("SC01", "exits", () => process.exit(0))',
]) {
  const { stdout, status } = program(body);
  assert.match(stdout, /^not ok SC01/m, body);
  assert.strictEqual(status, 1, body);
}
assert.match(program('test("SC01", "else", { ours: "so" }, () => { throw 1; })').stdout, /^skip SC01 else \(.*so\)$/m);

// The judge.
const rows = JSON.parse(fs.readFileSync(path.join(__dirname, 'rows.json'), 'utf8'));
assert.strictEqual(new Set(rows.map(({ id }) => id)).size, rows.length);
assert.deepStrictEqual(['Part 1', 'decisions', 'newest'].map((part) => rows.filter((row) => row.part === part).length), [249, 24, 39]);
for (const { id, scope, why } of rows) {
  assert.ok(['c', 'js', 'both', 'out'].includes(scope), id);
  assert.strictEqual(scope === 'out', why !== undefined, id);
}
const [report, summary] = [path.join(scratch, 'r.md'), path.join(scratch, 's.txt')];
function judge(log, tap, expected) {
  fs.rmSync(path.join(scratch, 'logs'), { recursive: true, force: true });
  write('logs/a.log', `${log.join('\n')}\n`);
  write('logs/b.tap', `${tap.join('\n')}\n`);
  const { stdout, status } = node(path.join(__dirname, 'conformance.js'), path.join(scratch, 'logs'), report, summary);
  assert.strictEqual(status, expected, stdout);
  return stdout;
}
const end = '1 tests, 0 failed';
const js = rows.filter(({ scope }) => scope !== 'c').map(({ id }) => `ok ${id} holds`);
const c = rows.filter(({ scope }) => scope === 'c').map(({ id }, i) => `ok ${i + 1} - x.c:all:${id}_holds: Passed`);
assert.match(judge([...js, end], c, 0), /^conformance: 248 of 249 promises passed, 1 out of scope \(CC12\); 24 of 24/);
const without = (id) => js.filter((line) => !line.startsWith(`ok ${id} `));
assert.match(judge([...without('SC19'), end], c, 1), /1 missing \(SC19\)/);
assert.match(judge([...without('SC19'), end], [...c, 'ok 9 - x.c:all:SC19_holds: Passed'], 1), /1 missing \(SC19\)/); // js alone
judge([...without('SC01'), end], [...c, 'ok 9 - x.c:all:it_holds_SC01: Passed'], 0);
assert.match(judge([...js, 'not ok SC01 RC01 does not', end], c, 1), /2 failed \(SC01, RC01\)/);
assert.match(judge([...js, end], [...c, 'not ok 9 - x.c:all:SC01_holds: x.c:1: no'], 1), /1 failed \(SC01\)/);
assert.match(judge(js, c, 1), /a did not come to its end/);
assert.match(judge([...without('D08'), 'skip D08 else (so)', end], c, 1), /1 missing \(D08\)/);
assert.match(judge([...without('N26'), 'skip N26 else (needs V8 13)', end], c, 0), /1 out of scope \(N26\)/);
assert.match(fs.readFileSync(report, 'utf8'), /\| N26 \|.*\| out of scope \|.*needs V8 13/);
console.log('selftest: all as it should be');
