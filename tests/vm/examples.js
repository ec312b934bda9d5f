// SPDX-License-Identifier: MIT
//
// Runs the examples of the documents and compares what they print:
//   node examples.js COMMAND [ARGS...]        kiln run, or a node
// Each examples/ID[.variant].EXT is run with --experimental-vm-modules; what it must print stands in
// ID[.variant].out or else ID.out, where a line /x/ is a pattern and /x/* one for any number of lines.
// Prints lines as the tests do: ok ID file, or not ok ID file: why.
'use strict';

const { spawn } = require('child_process');
const fs = require('fs');
const http = require('http');
const path = require('path');

const DEADLINE_MS = 60e3;
const folder = path.join(__dirname, 'examples');
const [program, ...args] = process.argv.slice(2);

const TIMED_OUT = /ERR_SCRIPT_EXECUTION_TIMEOUT|Script execution timed out after 5ms/;

// How an example ends, where it is not with status 0 and nothing on stderr.
const ENDS = {
  EX21: { until: (out) => out.includes('\n'), then: request },
  EX22: { until: (out) => out.split('\n').length > 20 }, // for ever, as the documents say
  EX23: { status: [1], stderr: TIMED_OUT },
  EX24: { status: [0, 13], stderr: /(?:)/ }, // Node warns of the unsettled await, and ends with 13
  'EX24.ok': {},
  EX25: { until: (out) => out.split('\n').length > 20 },
};

// What the server of EX21 answers.
function request() {
  return new Promise((resolve, reject) => {
    http.get('http://127.0.0.1:8124/', (response) => {
      let body = '';
      response.on('data', (data) => { body += data; });
      response.on('end', () => {
        const seen = `${response.statusCode} ${response.headers['content-type']} ${JSON.stringify(body)}`;
        seen === '200 text/plain "Hello World\\n"' ? resolve() : reject(new Error(`the server answered ${seen}`));
      });
    }).on('error', reject);
  });
}

function compare(out, wanted, cut) {
  const lines = out.split('\n');
  const rest = lines.pop();
  if (rest && !cut) return `the last line is not ended: ${rest}`;
  for (const want of wanted.split('\n').slice(0, -1)) {
    const [, pattern, many] = /^\/(.*)\/(\*?)$/.exec(want) || [];
    if (many) while (lines.length && new RegExp(`^(?:${pattern})$`).test(lines[0])) lines.shift();
    else {
      const line = lines.shift();
      const ok = line !== undefined && (pattern ? new RegExp(`^(?:${pattern})$`).test(line) : line === want);
      if (!ok) return `printed ${JSON.stringify(line)}, not ${want}`;
    }
  }
  return lines.length ? `printed more: ${JSON.stringify(lines.slice(0, 3))}` : '';
}

function run(file, attempt = 1) {
  const [id, variant] = file.split('.');
  const named = `${id}.${variant}`;
  const ends = ENDS[named] || ENDS[id] || {};
  const wanted = [named, id].map((name) => path.join(folder, `${name}.out`)).find((name) => fs.existsSync(name));
  return new Promise((resolve) => {
    const child = spawn(program, [...args, '--experimental-vm-modules', path.join(folder, file)], { stdio: ['ignore', 'pipe', 'pipe'] });
    let [out, err, problem, cut] = ['', '', '', false];
    const stop = (why) => {
      problem = problem || why;
      cut = true;
      child.kill('SIGKILL');
    };
    const deadline = setTimeout(() => stop(`still runs after ${DEADLINE_MS / 1000} s`), DEADLINE_MS);
    child.stdout.on('data', (data) => {
      out += data;
      if (cut || !ends.until || !ends.until(out)) return;
      cut = true;
      (ends.then ? ends.then() : Promise.resolve()).then(() => stop(''), (error) => stop(error.message));
    });
    child.stderr.on('data', (data) => { err += data; });
    child.on('error', (error) => resolve([id, error.message]));
    child.on('close', (status, signal) => {
      clearTimeout(deadline);
      // The 5 ms of the documents may pass on a busy machine before the code has come to its promise.
      if (ends.until && !ends.then && !cut && TIMED_OUT.test(err) && attempt < 20) return resolve(run(file, attempt + 1));
      if (ends.until && !cut) problem = problem || `ended by itself, with ${status}`;
      if (!cut && !(ends.status || [0]).includes(status)) problem = problem || `ended with ${status} ${signal || ''}: ${err.slice(0, 400)}`;
      if (ends.stderr ? !ends.stderr.test(err) : err !== '' && !/ExperimentalWarning/.test(err)) problem = problem || `stderr: ${err.slice(0, 400)}`;
      if (!wanted) problem = problem || 'has no .out';
      resolve([id, problem || compare(out, fs.readFileSync(wanted, 'utf8'), cut)]);
    });
  });
}

(async () => {
  const files = fs.readdirSync(folder).filter((name) => /\.(js|cjs|mjs)$/.test(name)).sort();
  let failed = 0;
  for (const file of files) {
    const [id, problem] = await run(file);
    // EX16 and EX17 are one example.
    const ids = id === 'EX17' ? 'EX16 EX17' : id;
    console.log(problem ? `not ok ${ids} ${file}: ${problem.replace(/\n/g, ' | ')}` : `ok ${ids} ${file}`);
    if (problem) failed++;
  }
  console.log(`${files.length} tests, ${failed} failed`);
  process.exitCode = failed || files.length === 0 ? 1 : 0;
})();
