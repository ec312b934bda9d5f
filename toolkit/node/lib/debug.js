// SPDX-License-Identifier: MIT
//
// What KILN_DEBUG=1 says on stderr: a line for each file, and a summary when the process ends.
'use strict';

const fs = require('fs');
const { isMainThread, threadId } = require('worker_threads');

const { writeSync } = fs;
const counts = { used: 0, missed: 0, rejected: 0, offered: 0 };
const who = isMainThread ? 'kiln' : `kiln (thread ${threadId})`;

function say(text) {
  try {
    writeSync(2, `${who}: ${text}\n`);
  } catch {
    // Nobody listens.
  }
}

process.on('exit', () => {
  say(`${counts.used} used, ${counts.missed} missed, ${counts.rejected} rejected`);
});

module.exports = {
  say,
  opened(folder, { name, index: { entries } }) {
    say(`folder '${folder}': engine ${name}, ${entries.length} files`);
    const modules = entries.filter(([, kind]) => kind === 'module').length;
    if (modules > 0) say(`${modules} ES modules of them are loaded plainly: Node takes no code cache for these from others`);
  },
  used(file, bytes) {
    counts.used++;
    say(`used '${file}': ${bytes} bytes`);
  },
  missed(file, why) {
    counts.missed++;
    say(`missed '${file}': ${why}`);
  },
  rejected(file, why) {
    counts.rejected++;
    say(`rejected '${file}': ${why}`);
  },
  // Of the bytes that V8 is given, just before it is given them.
  offered(file, digest) {
    counts.offered++;
    say(`offered '${file}': ${digest}`);
  },
};
