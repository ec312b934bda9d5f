// SPDX-License-Identifier: MIT
//
// Sends the requests of the table: ordinary ones, and bytes on a connection with pauses, halves and ends as written.
'use strict';

const net = require('net');
const { request } = require('../http.js');

// {status, body, type, ms, ...}; rejects if the connection ends without an answer.
async function ask(port, { method, target, type, body }, agent, limitMs = 60000) {
  const started = process.hrtime.bigint();
  const headers = { Host: 'localhost' };
  if (type) headers['Content-Type'] = type;
  if (body && (body.length > 0 || method === 'POST')) headers['Content-Length'] = Buffer.byteLength(body);
  const { status, headers: got, bytes, text } = await request(port, method, target, { headers, body, agent, limitMs });
  return { status, type: got['content-type'], headers: got, bytes, body: text, ms: Number(process.hrtime.bigint() - started) / 1e6 };
}

// ---- raw connections

function unescape(text) {
  return text.replace(/\\(r|n|\\|x([0-9a-f]{2}))/g, (all, what, hex) => (hex ? String.fromCharCode(parseInt(hex, 16)) : { r: '\r', n: '\n', '\\': '\\' }[what]));
}

// Text with <...> as steps: {send}, {wait}, {shut}, {hold}, {reset}.
function parseSteps(text) {
  const steps = [];
  let sending = '';
  const flush = () => {
    if (sending !== '') steps.push({ send: Buffer.from(sending, 'latin1') });
    sending = '';
  };
  const expand = (piece) => {
    let at = 0;
    while (at < piece.length) {
      const open = piece.indexOf('<', at);
      if (open < 0) break;
      sending += unescape(piece.slice(at, open));
      let depth = 1;
      let close = open;
      while (depth > 0) {
        const next = piece[++close];
        if (next === undefined) throw new Error(`'${text}': a bracket is open`);
        if (next === '<') depth++;
        if (next === '>') depth--;
      }
      const inside = piece.slice(open + 1, close);
      at = close + 1;
      let found;
      if ((found = inside.match(/^(\d+)\*(.*)$/s))) {
        const kept = sending;
        sending = '';
        expand(found[2]);
        sending = kept + sending.repeat(Number(found[1]));
      } else if ((found = inside.match(/^drip (\d+) (\d+) (.*)$/s))) {
        for (let i = 0; i < Number(found[2]); i++) {
          sending += unescape(found[3]);
          flush();
          steps.push({ wait: Number(found[1]) });
        }
      } else {
        flush();
        if ((found = inside.match(/^wait (\d+)$/))) steps.push({ wait: Number(found[1]) });
        else if (/^(shut|hold|reset)$/.test(inside)) steps.push({ [inside]: true });
        else throw new Error(`'${text}': <${inside}> is no step`);
      }
    }
    sending += unescape(piece.slice(at));
  };
  expand(text.replace(/\{H\}/g, 'Host: localhost\\r\\n').replace(/\{J\}/g, 'Content-Type: text/javascript\\r\\n'));
  flush();
  return steps;
}

const HEAD = /^HTTP\/1\.[01] (\d{3}) [^]*?\r\n\r\n/;

// The answers on a connection so far: {status, head, body}; those not complete are left out.
function parseAnswers(text, head = false) {
  const answers = [];
  for (let found; (found = HEAD.exec(text)); ) {
    const status = Number(found[1]);
    const length = head || status === 100 || status === 304 ? 0 : Number((/\r\nContent-Length: (\d+)/i.exec(found[0]) || [0, 0])[1]);
    if (text.length < found[0].length + length) break;
    answers.push({ status, head: found[0], body: text.slice(found[0].length, found[0].length + length) });
    text = text.slice(found[0].length + length);
  }
  return answers;
}

const LINGER_MS = 30;

// Does the steps and gives the first final answer that came: {status: "closed"} for none, "open" where none was due.
function converse(port, raw, limitMs = 20000) {
  return new Promise((resolve, reject) => {
    const started = process.hrtime.bigint();
    const steps = parseSteps(raw);
    const socket = net.connect({ host: '127.0.0.1', port, allowHalfOpen: true });
    const isHead = raw.startsWith('HEAD ');
    let text = '';
    let answeredMs = 0;
    let over = false;
    let timer = null;
    const elapsed = () => Number(process.hrtime.bigint() - started) / 1e6;
    const finish = (forced) => {
      if (over) return;
      over = true;
      clearTimeout(limit);
      clearTimeout(timer);
      socket.destroy();
      const all = parseAnswers(text, isHead);
      const final = all.find(({ status }) => status !== 100);
      if (!forced && !final && text !== '') return reject(new Error(`half an answer: ${text.slice(0, 200)}`));
      const type = final && (/\r\nContent-Type: ([^\r]*)/i.exec(final.head) || [])[1];
      resolve({ status: forced || (final ? final.status : 'closed'), type, body: final ? final.body : '', statuses: all.map(({ status }) => status), ms: answeredMs || elapsed() });
    };
    const limit = setTimeout(() => {
      over = true;
      socket.destroy();
      reject(new Error(`no answer within ${limitMs} ms: ${text.slice(0, 100)}`));
    }, limitMs);
    const hear = (data) => {
      text += data.toString('latin1');
      if (answeredMs || !parseAnswers(text, isHead).some(({ status }) => status !== 100)) return;
      answeredMs = elapsed();
      timer = setTimeout(finish, LINGER_MS); // what else comes is looked at, too
    };
    socket.on('data', hear);
    socket.on('end', () => finish());
    socket.on('close', () => finish());
    socket.on('error', () => finish());
    const go = (index) => {
      if (over || index === steps.length) return;
      const step = steps[index];
      if (step.send) {
        socket.write(step.send);
        go(index + 1);
      } else if (step.wait) {
        setTimeout(go, step.wait, index + 1);
      } else if (step.shut) {
        socket.end();
        go(index + 1);
      } else if (step.reset) {
        setImmediate(() => {
          socket.resetAndDestroy();
          finish('open');
        });
      }
    };
    socket.on('connect', () => go(0));
  });
}

module.exports = { ask, converse, parseSteps };
