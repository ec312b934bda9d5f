// SPDX-License-Identifier: MIT
//
// node tsan.js PROGRAM ARGS...: runs a program built with the thread sanitizer and judges its reports. V8 is not built
// with it, so that its atomics are invisible and its own code looks like a race: a report counts if an access it names
// was made by code of ours, that is, if the first frame outside the run time libraries is not in V8's library.
'use strict';

const { spawnSync } = require('child_process');

const [program, ...args] = process.argv.slice(2);
const run = spawnSync(program, args, {
  encoding: 'utf8',
  maxBuffer: 1 << 28,
  env: { ...process.env, TSAN_OPTIONS: 'exitcode=0 halt_on_error=0' },
});
if (run.error) throw run.error;

// The C and C++ libraries act for whoever called them.
const RUNTIME = /\((libtsan|libc|libstdc\+\+)\.so[.0-9]*\+/;
const V8 = /\(libnode\.so[.0-9]*\+/;

// The accesses of a report: stacks, each a list of frames. Those it could not restore have no frame.
function accesses(report) {
  const stacks = [];
  let frames = null;
  for (const line of report.split('\n')) {
    if (/^ {2}(Previous )?([Aa]tomic )?([Rr]ead|[Ww]rite) of size/.test(line)) stacks.push((frames = []));
    else if (/^ {2}\S/.test(line)) frames = null;
    else if (frames && /^ {4}#\d+ /.test(line)) frames.push(line);
  }
  return stacks;
}

const isOfV8 = (frames) => {
  const first = frames.find((frame) => !RUNTIME.test(frame));
  return first === undefined || V8.test(first);
};

const reports = run.stderr.split('==================\n').filter((part) => part.includes('WARNING: ThreadSanitizer'));
const ours = reports.filter((report) => {
  const stacks = accesses(report);
  // What is not about two accesses (a mutex, a leaked thread) is ours to explain.
  return stacks.length === 0 || !stacks.every(isOfV8);
});
process.stdout.write(run.stdout);
process.stderr.write(reports.length === 0 ? run.stderr : ours.join('==================\n'));
console.log(`thread sanitizer: ${ours.length} reports about our code, ${reports.length - ours.length} within V8`);
process.exitCode = run.status !== 0 || ours.length > 0 ? 1 : 0;
