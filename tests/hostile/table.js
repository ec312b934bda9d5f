// SPDX-License-Identifier: MIT
//
// The table of hostile inputs: cases/*.txt, a line for each: ANSWER | OPERATION | TEXT. Reads it, and judges answers.
//
// ANSWER is one or more of these, with "or" between them:
//   ok, ok=JSON       200; the result is this
//   is=JSON           200; the whole body is this
//   throw, throw=NAME 422, outcome exception; the error's name is this
//   time, memory, crash 422, outcome time_limit, memory_limit, crashed
//   STATUS [CODE]     this status, with this code
//   closed, open      of raw connections: closed without an answer; none is due
// OPERATION: run, bake or compile with ?OPTIONS (script files: TEXT is the source); METHOD TARGET [TYPE] (TEXT is an
// expression for the body); raw (TEXT is what goes over the connection, see raw.txt); steps (requests that need each
// other, see steps.js), or alone: the same when no other case runs.
'use strict';

const fs = require('fs');
const path = require('path');
const { isDeepStrictEqual } = require('util');
const { parse: parseSteps } = require('./steps.js');

const OPERATIONS = { run: '/v1/run', bake: '/v1/createCachedData', compile: '/v1/compile' };
const TYPES = { js: 'text/javascript', json: 'application/json' };
const OUTCOMES = { ok: 'ok', throw: 'exception', time: 'time_limit', memory: 'memory_limit', crash: 'crashed' };

function parseAnswer(text, where) {
  return text.split(' or ').map((word) => {
    const outcome = word.match(/^(ok|throw|time|memory|crash)(?:=(.*))?$/);
    if (outcome) {
      const [, name, value] = outcome;
      return { status: name === 'ok' ? 200 : 422, outcome: OUTCOMES[name], value: name === 'ok' && value ? JSON.parse(value) : value };
    }
    if (word.startsWith('is=')) return { status: 200, body: JSON.parse(word.slice(3)) };
    const status = word.match(/^(\d{3})(?: (ERR_\w+))?$/);
    if (status) return { status: Number(status[1]), code: status[2] };
    if (word === 'closed' || word === 'open') return { status: word };
    throw new Error(`${where}: '${word}' is no answer`);
  });
}

// "a=b&c=d" as a query: values are written as they are meant, but for what is escaped already.
function encodeOptions(text) {
  return text.replace(/[^\w=&%.\-~?;:,/()]/g, encodeURIComponent);
}

function parseOperation(text, body, where) {
  if (text === 'raw') return { raw: body };
  if (text === 'steps' || text === 'alone') return { steps: parseSteps(body, where) };
  const [word, options] = text.split(/\?(.*)/s);
  if (OPERATIONS[word]) {
    const timeout = Number((/(?:^|&)timeout=(\d+)/.exec(options) || [])[1]);
    return { method: 'POST', target: OPERATIONS[word] + (options ? `?${encodeOptions(options)}` : ''), type: TYPES.js, body: Buffer.from(body), timeout };
  }
  const [method, target, type] = text.split(' ');
  if (!target) throw new Error(`${where}: '${text}' is no operation`);
  const value = new Function(`return ${body}`)();
  const bytes = Buffer.isBuffer(value) ? value : Buffer.from(value);
  const inside = bytes.length < 1000 ? /"timeout":(\d+)/.exec(bytes) : null;
  const timeout = Number((/[?&]timeout=(\d+)/.exec(target) || inside || [])[1]);
  return { method, target: target.replace(/[^\x21-\x7e]|["'{}<>[\]]/g, encodeURIComponent), type: type && (TYPES[type] || type), body: bytes, timeout };
}

// Every case, in the order of the files. `make()` gives the request: bodies of megabytes exist only while it is sent.
function load(folder = path.join(__dirname, 'cases')) {
  const cases = [];
  for (const file of fs.readdirSync(folder).sort()) {
    const category = path.basename(file, '.txt');
    fs.readFileSync(path.join(folder, file), 'utf8').split('\n').forEach((line, index) => {
      if (line === '' || line.startsWith('#')) return;
      const where = `${category}:${index + 1}`;
      const [answer, operation, ...rest] = line.split(' | ');
      if (rest.length === 0) throw new Error(`${where}: must be ANSWER | OPERATION | TEXT`);
      const text = rest.join(' | ');
      cases.push({ where, category, line, alone: operation === 'alone', answers: parseAnswer(answer, where), make: () => parseOperation(operation, text, where) });
    });
  }
  return cases;
}

function parseBody(got) {
  try {
    return JSON.parse(got.body);
  } catch {
    return null;
  }
}

function matches(wanted, got, json) {
  if (wanted.status !== got.status) return false;
  if (wanted.code && (!json || !json.error || json.error.code !== wanted.code)) return false;
  if ('body' in wanted) return json !== null && isDeepStrictEqual(json, wanted.body);
  if (!wanted.outcome) return true;
  if (wanted.outcome === 'ok') {
    if (json && 'outcome' in json && json.outcome !== 'ok') return false;
    return wanted.value === undefined || (json !== null && isDeepStrictEqual(json.result, wanted.value));
  }
  if (!json || json.outcome !== wanted.outcome) return false;
  return wanted.value === undefined || json.error.name === wanted.value;
}

// What is wrong with an answer; null: nothing. `got`: {status, body (text), type, statuses (of all on the connection)}.
function judge(one, got) {
  const shown = `${got.status} ${got.body.slice(0, 300)}`;
  if (got.status >= 500 && !one.answers.some(({ status }) => status === got.status)) return `a fault of the server: ${shown}`;
  const json = typeof got.status === 'number' ? parseBody(got) : null;
  if (json === null && got.status >= 400 && got.type === 'application/json') return `no JSON: ${shown}`;
  if (json && got.status >= 400) {
    const { error } = json;
    if (!error || !/^ERR_[A-Z0-9_]+$/.test(error.code) || typeof error.message !== 'string') return `no error: ${shown}`;
    if (got.status === 422 && typeof json.outcome !== 'string') return `no outcome: ${shown}`;
  }
  if (!one.answers.some((wanted) => matches(wanted, got, json))) return `not this answer: ${shown}`;
  const refused = one.answers.every(({ status }) => status >= 400);
  if (refused && got.statuses && got.statuses.some((status) => status < 400 && status !== 100)) return `a second request was taken: ${got.statuses.join(' ')}`;
  return null;
}

module.exports = { load, judge };
