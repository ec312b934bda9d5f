// SPDX-License-Identifier: MIT
//
// A harness of a page for the conformance tests: they run under kiln run and under official Node, the oracle.
//   test('SC01 RC01', 'what is promised', [{ node, ours, v8 }], fn)
// The ids are those of rows.json. Tests run one after the other, in order; fn may be async. One line each:
// "ok IDS title", "not ok IDS title: message" or "skip IDS title (why)", then "N tests, M failed", exit code 1 if any.
//   node: 24    Node older than 24 behaves otherwise: skipped there
//   ours: 'why' decided otherwise than Node: skipped under Node
//   v8: 13      needs V8 13: skipped with an older one
'use strict';

const vm = require('vm');

const under = process.versions && process.versions.node && !process.versions.kiln ? 'node' : 'kiln';
const major = (version) => Number(String(version).replace(/^v/, '').split('.')[0]);
const nodeMajor = under === 'node' ? major(process.versions.node) : 0;
const v8Major = major((process.versions && process.versions.v8) || '10.2');

const tests = [];
let current; // the one that runs

function test(ids, title, options, fn) {
  if (typeof options === 'function') [options, fn] = [{}, options];
  tests.push({ ids, title, options, fn });
  if (tests.length === 1) setImmediate(runAll);
}

function whySkipped({ node, ours, v8 }) {
  if (nodeMajor && node && nodeMajor < node) return `Node ${node} and newer`;
  if (nodeMajor && ours) return `decided otherwise than Node: ${ours}`;
  if (v8 && v8Major < v8) return `needs V8 ${v8}`;
  return '';
}

const oneLine = (text) => String(text).split('\n').slice(0, 12).join(' | ').slice(0, 600);

async function runAll() {
  let failed = 0;
  for (current of tests) {
    const { ids, title, options, fn } = current;
    const why = whySkipped(options);
    if (why) {
      console.log(`skip ${ids} ${title} (${why})`);
      continue;
    }
    try {
      await fn();
      console.log(`ok ${ids} ${title}`);
    } catch (error) {
      failed++;
      console.log(`not ok ${ids} ${title}: ${oneLine((error && error.stack) || error)}`);
    }
  }
  console.log(`${tests.length} tests, ${failed} failed`);
  process.exitCode = failed ? 1 : 0;
  tests.length = 0;
}

// A test that ends the process early, or leaves it waiting for nothing, has failed.
process.on('exit', () => {
  if (tests.length) {
    const { ids, title } = current || tests[0];
    console.log(`not ok ${ids} ${title}: the process ended`);
    process.exitCode = 1;
  }
});

function mismatch(error, want) {
  for (const key of Object.keys(want)) {
    const ok = want[key] instanceof RegExp ? want[key].test(error[key]) : Object.is(error[key], want[key]);
    if (!ok) return `${key} is ${error[key]}, not ${want[key]} (${error.name} ${error.code}: ${error.message})`;
  }
  return '';
}

// Checks that fn() throws an error with these properties; `want` may be a code alone. Gives the error.
function throws(fn, want) {
  let error;
  try {
    fn();
  } catch (thrown) {
    error = thrown;
  }
  if (error === undefined) throw new Error(`nothing thrown: ${fn}`);
  const problem = mismatch(error, typeof want === 'string' ? { code: want } : want);
  if (problem) throw new Error(`${problem} in ${fn}`);
  return error;
}

// The same of a promise, or of a function that gives one and must not throw itself.
async function rejects(promise, want) {
  if (typeof promise === 'function') promise = promise();
  let error;
  let value;
  try {
    value = await promise;
  } catch (thrown) {
    error = thrown;
  }
  if (error === undefined) throw new Error(`not rejected: ${value}`);
  const problem = mismatch(error, typeof want === 'string' ? { code: want } : want);
  if (problem) throw new Error(problem);
  return error;
}

// Every value that is not of the wanted type, for tables of refused options.
const ANYTHING = [undefined, null, true, 1, 'text', Symbol('s'), {}, [], () => {}];
const not = (...types) =>
  ANYTHING.filter((value) => !types.includes(value === null ? 'null' : Array.isArray(value) ? 'array' : typeof value));

// What is equal as JSON, whatever realm it comes from.
const plain = (value) => JSON.parse(JSON.stringify(value));

const tick = () => new Promise((resolve) => setImmediate(resolve));
const noLinker = () => {
  throw new Error('the linker was called');
};

// Links `module` through a table from specifier to source or module.
async function linkWith(module, table, options) {
  await module.link((specifier) => {
    const found = table[specifier];
    return typeof found === 'string' ? (table[specifier] = new vm.SourceTextModule(found, options)) : found;
  });
  return module;
}

async function evaluated(source, options, table = {}) {
  const module = await linkWith(new vm.SourceTextModule(source, options), table, options);
  await module.evaluate();
  return module;
}

module.exports = { test, throws, rejects, not, plain, tick, noLinker, linkWith, evaluated, under, nodeMajor, v8Major };
