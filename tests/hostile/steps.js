// SPDX-License-Identifier: MIT
//
// Requests that need each other: a session's objects, an image and its runs. A case's TEXT is steps with " -> " between
// them, each [?][N*][NAME=][METHOD ]PATH[ js SOURCE | json EXPRESSION]:
//   PATH    below /v1/; $NAME is the id that the step NAME= was answered, $NAME.session the session in it
//   METHOD  POST if none is said
//   js      the body is this source; json: the JavaScript value of this, in which NAME is that id and session(NAME) its
//           session; a string or a Buffer is taken as it is
//   N*      N times, some at once, or until one is refused
//   ?       any answer but a fault will do; else all but the last must be good
// The last step's answer is the case's. Every step has its own deadline. What was made is deleted afterwards.
'use strict';

const http = require('http');
const { ask } = require('./client.js');

const SHAPE = /^(\?)?(?:(\d+)\*)?(?:(\w+)=)?(?:(GET|DELETE) )?([a-z]\S*)(?: (js|json) ([^]*))?$/;
const AT_ONCE = 8;
const TYPES = { js: 'text/javascript', json: 'application/json' };
const sessionOf = (id) => id.split('-')[0];

function parse(text, where) {
  return text.split(' -> ').map((piece) => {
    const found = SHAPE.exec(piece);
    if (!found) throw new Error(`${where}: '${piece}' is no step`);
    const [, anyhow, times, name, method = 'POST', path, type, body] = found;
    return { times: Number(times || 1), anyhow: Boolean(anyhow), name, method, path, type, body };
  });
}

function bodyOf({ type, body }, ids) {
  if (type !== 'json') return body;
  const value = new Function(...Object.keys(ids), 'session', `return (${body})`)(...Object.values(ids), sessionOf);
  return typeof value === 'string' || Buffer.isBuffer(value) ? value : JSON.stringify(value);
}

function requestOf(step, ids) {
  const target = `/v1/${step.path.replace(/\$(\w+)(\.session)?/g, (all, name, session) => (session ? sessionOf(ids[name]) : ids[name]))}`;
  const body = bodyOf(step, ids);
  const timeout = /[?&]timeout=(\d+)/.exec(target) || (body && body.length < 1000 && /"timeout":(\d+)/.exec(body)) || [];
  return { method: step.method, target, type: TYPES[step.type], body, timeout: Number(timeout[1]) };
}

// {got, ms, late, problem}: the last answer; the longest a step took, and was over its deadline; why the case ended
// before its last step.
async function follow(port, steps, defaultMs) {
  const ids = {};
  const made = new Set();
  const agent = new http.Agent({ keepAlive: true, maxSockets: AT_ONCE });
  const result = { got: null, ms: 0, late: -Infinity, problem: null };
  try {
    for (const [index, step] of steps.entries()) {
      const request = requestOf(step, ids);
      let refused = null;
      for (let left = step.times; left > 0 && !refused; left -= AT_ONCE) {
        const answers = await Promise.all(Array.from({ length: Math.min(left, AT_ONCE) }, () => ask(port, request, agent)));
        refused = answers.find(({ status }) => status >= 300);
        result.got = refused || answers[0];
        for (const got of answers) {
          result.ms = Math.max(result.ms, got.ms);
          result.late = Math.max(result.late, got.ms - (request.timeout || defaultMs));
          if (got.status !== 201) continue;
          const { id, session } = JSON.parse(got.body);
          made.add(session ? `/v1/sessions/${session}` : `/v1/images/${id}`);
          if (step.name) ids[step.name] = id;
        }
      }
      if (!refused || index === steps.length - 1 || (step.anyhow && refused.status < 500)) continue;
      result.problem = `step ${index + 1}: ${refused.status} ${refused.body.slice(0, 300)}`;
      return result;
    }
    return result;
  } finally {
    for (const target of made) await ask(port, { method: 'DELETE', target }, agent);
    agent.destroy();
  }
}

module.exports = { parse, follow };
