// SPDX-License-Identifier: MIT
//
// Whether a source may call import(): in code, or in a text that it gives to eval() or Function(). V8 up to 11.3 forgets
// whose module code from a cache is, and import() fails in it. Where this scan is in doubt the answer is true, which
// costs the cache and nothing else.
'use strict';

const CALL = /\bimport(?:\s|\/\*[^]*?\*\/|\/\/[^\n]*)*\(/;
// What strings, comments, templates and regular expressions begin with, and the words; in a template's `${`, braces.
const OUTSIDE = /["'`/]|\b(?:import\b|(?:eval|Function)\s*\()/g;
const INSIDE = /["'`{}/]|\b(?:import\b|(?:eval|Function)\s*\()/g;
// A text that is such a call as it stands. Pieces that a program prints, as compilers do, are none.
const PROGRAM = /(?:^["'`]?\s*(?:await\s*)?|\breturn\s*|=>\s*|[;=(]\s*)import\s*\([^]*\)/;
const AFTER_IMPORT = /(?:\s|\/\*[^]*?\*\/|\/\/[^\n]*)*\(/y;
const DOUBLE = /"(?:[^"\\\n\r]|\\(?:\r\n|[^]))*"/y;
const SINGLE = /'(?:[^'\\\n\r]|\\(?:\r\n|[^]))*'/y;
const TEMPLATE = /(?:[^`\\$]|\\[^]|\$(?!\{))*(`|\$\{)/y;
const REGEXP = /\/(?:[^\\/[\n\r]|\\[^\n\r]|\[(?:[^\]\\\n\r]|\\[^\n\r])*\])+\/[a-z]*/y;
const BEFORE_REGEXP = /(?:^|[([{}=,;:?!&|+\-*%^~<>]|\b(?:return|typeof|case|in|of|do|else|void|delete|throw|new|await|yield))$/;

function end(pattern, text, at) {
  pattern.lastIndex = at;
  return pattern.test(text) ? pattern.lastIndex : -1;
}

function before(text, at) {
  return text.slice(Math.max(0, at - 64), at).trimEnd();
}

function scan(text) {
  const depths = []; // of braces, at each ${ that is open
  let depth = 0;
  let evaluates = false;
  let quoted = false;
  const quote = (from, to) => {
    if (to - from > 8) quoted ||= PROGRAM.test(text.slice(from, to));
  };
  const template = (from) => {
    const to = end(TEMPLATE, text, from);
    if (to < 0) return -1;
    quote(from, to);
    if (text[to - 1] === '{') depths.push(depth);
    return to;
  };
  for (let at = 0; ;) {
    const next = depths.length > 0 ? INSIDE : OUTSIDE;
    next.lastIndex = at;
    if (!next.test(text)) return quoted && evaluates;
    at = next.lastIndex;
    const from = at - 1;
    switch (text[from]) {
      case '"':
        at = end(DOUBLE, text, from);
        if (at >= 0) quote(from, at);
        break;
      case "'":
        at = end(SINGLE, text, from);
        if (at >= 0) quote(from, at);
        break;
      case '`':
        at = template(at);
        break;
      case '{':
        depth++;
        break;
      case '}':
        if (depths.length > 0 && depths[depths.length - 1] === depth) {
          depths.pop();
          at = template(at);
        } else {
          depth--;
        }
        break;
      case '/':
        if (text[at] === '/') {
          at = text.indexOf('\n', at);
          if (at < 0) at = text.length;
        } else if (text[at] === '*') {
          at = text.indexOf('*/', at + 1) + 2;
          if (at < 2) return true;
        } else if (BEFORE_REGEXP.test(before(text, from))) {
          const to = end(REGEXP, text, from);
          if (to >= 0) {
            quote(from, to);
            at = to;
          } else if (!/[})]$/.test(before(text, from))) {
            return true;
          }
        }
        break;
      case 't':
        if (end(AFTER_IMPORT, text, at) >= 0 && !/(?:^|[^.])\.$/.test(text.slice(at - 8, at - 6))) return true;
        break;
      default:
        evaluates = true;
    }
    if (at < 0) return true;
  }
}

// Most such calls are seen in messages and comments. A line on its own tells, if nothing in it is ambiguous: no slash
// that may begin a regular expression, and the call in a string, a template's text or a comment that begins there.
const CALLS = /\bimport\s*(?:\/\*[^]*?\*\/\s*|\/\/[^\n]*\n\s*)*\(/g;
const TOKEN = /"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|`(?:[^`\\$]|\\.|\$(?!\{))*(?:`|\$\{)|\/\/.*|\/\*.*?\*\/|["'`/}]/g;
const LINE_MAX = 2000;
const SCAN_MAX = 512 * 1024;

// What the call at `at` is a part of; '' if that is not sure.
function partOf(text, at) {
  const from = text.lastIndexOf('\n', at) + 1;
  let to = text.indexOf('\n', at);
  if (to < 0) to = text.length;
  if (to - from > LINE_MAX) return '';
  const line = text.slice(from, to);
  if (/^\s*\*\s/.test(line) && text.lastIndexOf('/*', at) > text.lastIndexOf('*/', at)) return '/*';
  for (const { 0: token, index } of line.matchAll(TOKEN)) {
    if (from + index > at || token.length === 1) return '';
    if (from + index + token.length > at) return token;
  }
  return '';
}

module.exports = (text) => {
  let quoted = false;
  for (const { index } of text.matchAll(CALLS)) {
    const part = partOf(text, index);
    if (part === '') return text.length > SCAN_MAX || scan(text);
    quoted ||= part[0] !== '/' && PROGRAM.test(part);
  }
  return quoted && /\b(?:eval|Function)\s*\(/.test(text);
};
