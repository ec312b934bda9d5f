// SPDX-License-Identifier: MIT
//
// processes.js: what /proc says about processes.
'use strict';

const fs = require('fs');

function read(file) {
  try {
    return fs.readFileSync(file, 'utf8');
  } catch {
    return ''; // the process has just ended
  }
}

// The processes that any thread of `pid` has made and not yet reaped.
function childrenOf(pid) {
  let threads = [];
  try {
    threads = fs.readdirSync(`/proc/${pid}/task`);
  } catch {
    return [];
  }
  return threads.flatMap((thread) => read(`/proc/${pid}/task/${thread}/children`).split(' ').filter(Boolean).map(Number));
}

// Its state letter and its memory in KiB, or null if it is gone.
function statusOf(pid) {
  const text = read(`/proc/${pid}/status`);
  if (text === '') return null;
  const kib = (name) => Number((text.match(new RegExp(`^${name}:\\s*(\\d+)`, 'm')) || [0, 0])[1]);
  return { state: text.match(/^State:\s*(\S)/m)[1], rss: kib('VmRSS'), anonymous: kib('RssAnon'), shared: kib('RssShmem') };
}

// What it does not share with the zygote it was forked from, in KiB: V8's code is in memory, too, and everybody's.
function privateOf(pid) {
  const text = read(`/proc/${pid}/smaps_rollup`);
  return [...text.matchAll(/^Private_(?:Clean|Dirty):\s*(\d+)/gm)].reduce((sum, [, kib]) => sum + Number(kib), 0);
}

function descriptorsOf(pid) {
  return fs.readdirSync(`/proc/${pid}/fd`).length;
}

module.exports = { childrenOf, statusOf, privateOf, descriptorsOf, read };
