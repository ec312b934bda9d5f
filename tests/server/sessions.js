// SPDX-License-Identifier: MIT
//
// node sessions.js KILND ENGINE-PROGRAM [ONLY [OPTION...]]: node:vm's promises (tests/vm/rows.json) over HTTP, row by row, and abuse of
// the routes. session_rows.json says which rows have no test here, and why; every row is in one place or the other.
'use strict';

const assert = require('assert');
const fs = require('fs');
const path = require('path');
const { Kilnd, Suite } = require('./session_support.js');

const [kilndPath, enginePath, only, ...options] = process.argv.slice(2);

function read(...names) {
  return JSON.parse(fs.readFileSync(path.join(__dirname, ...names), 'utf8'));
}

// How many rows have a test; throws if a row has none and no reason, or both.
function count(tested) {
  const without = read('session_rows.json');
  const reasons = new Map();
  for (const [kind, groups] of Object.entries(without)) {
    for (const [why, ids] of Object.entries(groups)) {
      for (const id of ids.split(' ')) {
        assert.ok(!reasons.has(id), `${id}: listed twice`);
        reasons.set(id, { kind, why });
      }
    }
  }
  const rows = read('..', 'vm', 'rows.json').filter((row) => row.part === 'Part 1').map((row) => row.id);
  const unknown = [...tested, ...reasons.keys()].filter((id) => !rows.includes(id));
  const forgotten = rows.filter((id) => !tested.has(id) && !reasons.has(id));
  const both = rows.filter((id) => tested.has(id) && reasons.has(id));
  assert.deepStrictEqual({ unknown, forgotten, both }, { unknown: [], forgotten: [], both: [] });
  const meaningful = rows.filter((id) => tested.has(id) || reasons.get(id).kind !== 'nothing to ask').length;
  return { tested: tested.size, meaningful, all: rows.length };
}

async function main() {
  const rows = new Suite();
  const abuse = new Suite();
  for (const name of ['context', 'script', 'module']) require(`./session_${name}_rows.js`)(rows);
  require('./session_abuse.js')(abuse);
  const kilnd = await Kilnd.start(kilndPath, enginePath, ['--timeout-default', '3000', ...options]);
  let failed = 0;
  try {
    failed = await rows.run(kilnd, only) + await abuse.run(kilnd, only);
    if (!only && await kilnd.stat('protocol_errors') !== 0) failed++;
  } finally {
    assert.strictEqual(await kilnd.stop(), 0, kilnd.log);
  }
  const counted = count(rows.ids);
  const checks = rows.tests.length + abuse.tests.length;
  console.log(`${counted.tested} of ${counted.meaningful} rows that mean something over HTTP are tested (${counted.all} rows in all)`);
  console.log(`${Math.floor((100 * (checks - failed)) / checks)}%: Checks: ${checks}, Failures: ${failed}, Errors: 0`);
  return failed;
}

main().then((failed) => { process.exitCode = failed > 0 ? 1 : 0; }, (error) => {
  console.log(error.stack);
  process.exitCode = 1;
});
