// SPDX-License-Identifier: MIT
//
// Runs contextify_table.js under Node and prints a line per case.
'use strict';
const fs = require('fs');
const path = require('path');
const vm = require('vm');

vm.runInThisContext(fs.readFileSync(path.join(__dirname, 'contextify_table.js'), 'utf8'));

// The error's own words differ between versions of V8.
function failed(error) {
  if (!(typeof error === 'object' && error !== null && 'name' in error)) return `throws ${String(error)}`;
  return error.name === 'Error' ? `throws Error: ${error.message}` : `throws ${error.name}`;
}

function attempt(action) {
  try {
    return action();
  } catch (error) {
    return failed(error);
  }
}

for (const [name, make, steps] of globalThis.cases) {
  globalThis.sandbox = undefined;
  globalThis.inner = undefined;
  globalThis.sandbox = vm.runInThisContext(make);
  vm.createContext(globalThis.sandbox);
  const context = globalThis.sandbox;
  globalThis.inner = vm.runInContext('globalThis', context);
  const results = steps.map((step) => attempt(() => globalThis.show(
    step.startsWith('main:') ? vm.runInThisContext(step.slice(5)) : vm.runInContext(step, context))));
  console.log(`${name}\t${results.join(' | ')}\t${attempt(() => globalThis.show(globalThis.sandbox))}`);
}
