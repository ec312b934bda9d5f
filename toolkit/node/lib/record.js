// SPDX-License-Identifier: MIT
//
// KILN_RECORD=DIR: writes what V8 has compiled of each CommonJS file when the process ends. These are the best code
// caches there are, with the functions in them that the program calls; kiln precompile --exercise takes them from here.
'use strict';

const fs = require('fs');
const path = require('path');
const vm = require('vm');
const { threadId } = require('worker_threads');

module.exports = ({ COLUMN_OFFSET, HEAD_LENGTH, LINE_OFFSET, LOSES_IMPORT, PARAMS, SOURCE_MAX, buildId, debug,
  LOADER, env, install, sha256, textOf }) => {
  const folder = path.resolve(env.KILN_RECORD);
  const recorded = [];

  const compile = (filename) => {
    const source = fs.readFileSync(filename);
    if (source.length > SOURCE_MAX) return null;
    const bytes = Buffer.allocUnsafeSlow(HEAD_LENGTH + source.length + 4);
    source.copy(bytes, HEAD_LENGTH);
    const text = textOf(bytes, bytes.subarray(HEAD_LENGTH, HEAD_LENGTH + source.length), true, LINE_OFFSET);
    if (LOSES_IMPORT && require('./dynamic_import.js')(text)) {
      if (debug !== null) debug.missed(filename, 'it may call import(), which this V8 loses in cached code');
      return null;
    }
    try {
      // A source can end the wrapper's function itself; as a function's body it cannot.
      vm.compileFunction(source.toString().replace(/^#!/, '//'), PARAMS, { filename });
    } catch {
      return null;
    }
    const script = new vm.Script(text, {
      filename, lineOffset: LINE_OFFSET, columnOffset: COLUMN_OFFSET, importModuleDynamically: LOADER,
    });
    recorded.push({ filename, script, sourceSha256: sha256(source), sourceBytes: source.length });
    return script.runInThisContext();
  };

  const write = () => {
    const name = `${process.pid}-${threadId}`;
    const id = buildId();
    const lines = [];
    fs.mkdirSync(folder, { recursive: true, mode: 0o700 });
    for (const { filename, script, sourceSha256, sourceBytes } of recorded) {
      const blob = script.createCachedData();
      const file = `${name}-${lines.length}.blob`;
      fs.writeFileSync(path.join(folder, file), blob);
      lines.push(`${JSON.stringify({
        file: filename, kind: 'wrapper', lineOffset: LINE_OFFSET, columnOffset: COLUMN_OFFSET, sourceSha256,
        sourceBytes, blob: file, blobSha256: sha256(blob), blobBytes: blob.length, node: process.versions.node,
        buildId: id,
      })}\n`);
    }
    fs.writeFileSync(path.join(folder, `${name}.json`), lines.join(''));
    if (debug !== null) debug.say(`recorded ${lines.length} files in '${folder}'`);
  };

  if (!install({ compile })) return;
  process.on('exit', () => {
    try {
      write();
    } catch (error) {
      if (debug !== null) debug.say(`recording failed: ${error.message}`);
    }
  });
};
