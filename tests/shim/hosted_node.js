// SPDX-License-Identifier: MIT
//
// hosted_node.js: run by official Nodes for hosted_pool_test.c: says who they are, and whether they accept cached data.
'use strict';
const fs = require('fs');
const v8 = require('v8');
const vm = require('vm');

async function load(kind, source, cachedData) {
  if (kind === 'script') {
    const script = new vm.Script(source, { filename: 'test.js', cachedData });
    return [script.cachedDataRejected, script.runInThisContext()];
  }
  if (kind === 'function') {
    const made = vm.compileFunction(source, ['a', 'b'], { filename: 'test.js', cachedData });
    return [made.cachedDataRejected, made(20, 2)];
  }
  let module;
  try {
    module = new vm.SourceTextModule(source, { identifier: 'test.js', cachedData });
  } catch (error) {
    if (error.code === 'ERR_VM_MODULE_CACHED_DATA_REJECTED') return [true];
    throw error;
  }
  await module.link(() => {});
  await module.evaluate();
  return [false, module.namespace.default];
}

async function main([what, sourceFile, blobFile]) {
  if (what === 'info') return `${process.versions.v8} ${v8.cachedDataVersionTag()} ${process.arch}`;
  const source = fs.readFileSync(sourceFile, 'utf8');
  const blob = fs.readFileSync(blobFile);
  const [rejected, value] = await load(what, source, blob);
  const damaged = Buffer.from(blob);
  damaged[12] ^= 1; // the flag hash
  const [rejectedDamaged] = await load(what, `${source} `, damaged);
  return `${rejected ? 'rejected' : 'accepted'} ${value}; damaged: ${rejectedDamaged ? 'rejected' : 'accepted'}`;
}

main(process.argv.slice(2)).then((text) => process.stdout.write(text));
