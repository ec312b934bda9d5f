// SPDX-License-Identifier: MIT
//
// Where the baked folder is if KILN_BAKED does not say it.
'use strict';

const fs = require('fs');
const path = require('path');

function isOurs(status) {
  return (status.mode & 0o022) === 0 && (status.uid === 0 || status.uid === process.geteuid());
}

// The nearest node_modules/.kiln or .kiln, from the main script's folder upwards. Code comes from it: one that others
// may write to is not taken.
module.exports = (debug) => {
  const main = process.argv[1];
  if (main === undefined) return null;
  const tried = new Set();
  for (const start of [path.dirname(main), path.dirname(fs.realpathSync(main))]) {
    for (let folder = start; !tried.has(folder); folder = path.dirname(folder)) {
      tried.add(folder);
      for (const name of ['node_modules/.kiln', '.kiln']) {
        const found = path.join(folder, name);
        const status = fs.statSync(found, { throwIfNoEntry: false });
        if (status === undefined || !status.isDirectory()) continue;
        if (isOurs(status)) return found;
        if (debug !== null) debug.say(`folder '${found}': others may write to it, or own it`);
      }
    }
  }
  return null;
};
