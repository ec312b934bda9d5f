// SPDX-License-Identifier: MIT
//
// node raw_flips.js NODES [FLIPS]: a tool, no test: what becomes of a damaged blob that is given to official Nodes as it
// is, without Kiln between: flips, cuts, extensions. One process each; prints a table.
'use strict';

const { spawnSync } = require('child_process');
const fs = require('fs');
const os = require('os');
const path = require('path');

const [nodes, flips = '300'] = process.argv.slice(2);
const temp = fs.mkdtempSync(path.join(os.tmpdir(), 'kiln-raw-'));
process.on('exit', () => fs.rmSync(temp, { recursive: true, force: true }));
const blob = path.join(temp, 'blob');

const source = Array.from({ length: 30 }, (_, i) => `function f${i}(a, b) { let s = ${i}; for (let j = 0; j < 5; j++) s += a * j + b; return { s, t: 'x' + s }; }`).join('\n') +
  '\nlet all = 0; for (const f of [f0, f7, f13, f21, f29]) all += f(3, 4).s; all + JSON.stringify(f5(1, 2));';
const make = `const vm=require('vm');const s=new vm.Script(${JSON.stringify(source)},{filename:'a.js'});s.runInThisContext();
require('fs').writeFileSync(process.argv[1],s.createCachedData())`;
const take = `const vm=require('vm');const s=new vm.Script(${JSON.stringify(source)},{filename:'a.js',cachedData:require('fs').readFileSync(process.argv[1])});
let r;try{r=String(s.runInThisContext())}catch(e){r='threw '+e}console.log(s.cachedDataRejected?'rejected':r)`;

let state = 20261121;
const random = (below) => ((state = (Math.imul(state, 1664525) + 1013904223) >>> 0) >>> 8) % below;

for (const version of ['18', '20', '22', '24', '26']) {
  const node = path.join(nodes, `node-${version}`, 'bin/node');
  spawnSync(node, ['-e', make, blob]);
  const good = fs.readFileSync(blob);
  const right = spawnSync(node, ['-e', take, blob], { encoding: 'utf8' }).stdout.trim();
  const counts = { rejected: 0, crashed: 0, hung: 0, wrong: 0, right: 0 };
  for (let i = 0; i < Number(flips); i++) {
    let bytes = Buffer.from(good);
    if (i % 10 === 8) bytes = bytes.subarray(0, random(bytes.length));
    else if (i % 10 === 9) bytes = Buffer.concat([bytes, Buffer.alloc(1 + random(64), random(256))]);
    else bytes[random(bytes.length)] ^= 1 << random(8);
    fs.writeFileSync(blob, bytes);
    const result = spawnSync(node, ['-e', take, blob], { encoding: 'utf8', timeout: 2000, killSignal: 'SIGKILL' });
    const said = (result.stdout || '').trim();
    if (result.error) counts.hung++;
    else if (result.status !== 0) counts.crashed++;
    else if (said === 'rejected') counts.rejected++;
    else if (said === right) counts.right++;
    else counts.wrong++;
  }
  console.log(`node ${version}: ${Object.entries(counts).map(([what, count]) => `${what} ${count}`).join(', ')}`);
}
