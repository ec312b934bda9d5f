// SPDX-License-Identifier: MIT
//
// Says of each promise of rows.json whether a test has shown that it holds:
//   node conformance.js LOGS REPORT SUMMARY
// LOGS is the folder in which the tests have left what they printed: *.log of the JavaScript tests and examples
// ("ok SC01 RC01 title"), *.tap of the C tests (check's TAP), where a test is about the ids in its name
// (SC01_RC01_compiles). Writes REPORT (Markdown) and SUMMARY (one line). Exits with 1 if a promise is failed or missing.
'use strict';

const fs = require('fs');
const path = require('path');

const [logs, report, summaryFile] = process.argv.slice(2);
const rows = JSON.parse(fs.readFileSync(path.join(__dirname, 'rows.json'), 'utf8'));
const known = new Map(rows.map((row) => [row.id, { ok: [], failed: [], skipped: [], sides: new Set() }]));

// Takes one line of evidence: `mark` ok, not ok or skip.
function take(mark, ids, what, side) {
  for (const id of ids) {
    const row = known.get(id);
    if (!row) continue;
    if (mark === 'ok') {
      row.ok.push(what);
      row.sides.add(side);
    } else (mark === 'skip' ? row.skipped : row.failed).push(what);
  }
}

const problems = [];
let files = [];
try {
  files = fs.readdirSync(logs).sort();
} catch (error) {
  problems.push(`no logs: ${error.message}`);
}
for (const file of files) {
  const lines = fs.readFileSync(path.join(logs, file), 'utf8').split('\n');
  const name = file.replace(/\.(log|tap)$/, '');
  if (file.endsWith('.log')) {
    for (const line of lines) {
      const [, mark, rest] = /^(ok|not ok|skip) (.*)$/.exec(line) || [];
      if (!mark) continue;
      const ids = /^(?:[A-Z]{1,3}\d\d ?)*/.exec(rest)[0].trim().split(' ');
      take(mark, ids, `${name}: ${rest.slice(ids.join(' ').length).trim().replace(/: Error.*/, '')}`, 'js');
    }
    // A program that ended early has no last line.
    if (!lines.some((line) => /^\d+ tests, \d+ failed$/.test(line))) problems.push(`${name} did not come to its end`);
  } else if (file.endsWith('.tap')) {
    for (const line of lines) {
      const [, mark, test] = /^(ok|not ok) \d+ - [^:]*:[^:]*:(\w+)/.exec(line) || [];
      if (mark) take(mark, test.split('_'), `${name}: ${test}`, 'c');
    }
  }
}

function judge({ id, scope, why, v8 }) {
  const { ok, failed, skipped, sides } = known.get(id);
  if (failed.length) return ['failed', failed[0]];
  if (scope === 'out') return ['out of scope', why];
  const wanted = scope === 'both' ? sides.size > 0 : sides.has(scope);
  if (wanted) return ['passed', ok[0]];
  if (v8 && skipped.length) return ['out of scope', `needs V8 ${v8}`];
  return ['missing', skipped[0] || (ok.length ? `no test of the ${scope} side: ${ok[0]}` : 'no test names it')];
}

const cell = (text) => String(text).replace(/\|/g, '\\|');
const parts = {};
const table = [];
let oneSided = [];
for (const row of rows) {
  const [state, why] = judge(row);
  const { sides } = known.get(row.id);
  const part = (parts[row.part] = parts[row.part] || { all: 0, passed: 0, failed: [], missing: [], out: [] });
  part.all++;
  if (state === 'passed') part.passed++;
  else part[state === 'out of scope' ? 'out' : state].push(row.id);
  if (state === 'passed' && row.scope === 'both' && sides.size < 2) oneSided.push(row.id);
  table.push(`| ${row.id} | ${cell(row.promise)} | ${state} | ${[...sides].sort().join(' + ')} | ${cell(why)} |`);
}

const list = (word, ids) => (ids.length ? `, ${ids.length} ${word} (${ids.slice(0, 8).join(', ')}${ids.length > 8 ? ', ...' : ''})` : '');
const words = { 'Part 1': 'promises', decisions: 'decisions', newest: 'additions of the newest Node' };
const summary = `conformance: ${Object.entries(parts)
  .map(([name, part]) => `${part.passed} of ${part.all} ${words[name]} passed${list('failed', part.failed)}${list('missing', part.missing)}${list('out of scope', part.out)}`)
  .join('; ')}`;

const both = rows.filter(({ id }) => known.get(id).sides.size === 2).length;
fs.writeFileSync(report, `# Conformance with Node's vm

${summary}.
${both} rows are seen from C and from JavaScript, ${rows.filter(({ id }) => known.get(id).sides.size).length} from at least one of them.
${oneSided.length ? `\nSeen from one side only, though both have it: ${oneSided.join(', ')}.\n` : ''}${problems.map((problem) => `\nProblem: ${problem}.\n`).join('')}
| id | promise | | seen from | evidence, or why not |
| --- | --- | --- | --- | --- |
${table.join('\n')}
`);
fs.writeFileSync(summaryFile, `${summary}\n`);
console.log(summary);
problems.forEach((problem) => console.log(`problem: ${problem}`));
const bad = Object.values(parts).some(({ failed, missing }) => failed.length || missing.length);
process.exitCode = bad || problems.length ? 1 : 0;
