// SPDX-License-Identifier: MIT
'use strict';

const { Buffer: B, constants } = require('buffer');
console.log(B === Buffer, constants.MAX_STRING_LENGTH > 1e6);
const b = Buffer.from('h\u00e9llo \u{1F600} \ud800');
for (const encoding of [undefined, 'utf8', 'hex', 'base64', 'latin1', 'ascii', 'utf16le', 'base64url']) {
  if (encoding !== 'base64url') console.log(encoding, b.toString(encoding));
}
for (const [text, encoding] of [['6869', 'hex'], ['aGk=', 'base64'], ['aGk', 'base64'], ['hi', 'utf16le'], ['\xe9', 'latin1']]) {
  console.log(Buffer.from(text, encoding).toJSON().data);
}
console.log(Buffer.alloc(3), Buffer.alloc(4, 'ab'), Buffer.from([1, 2, 300]), Buffer.from(new Uint8Array([9, 8]).buffer, 1));
console.log(b.equals(Buffer.from(b)), b.equals(Buffer.alloc(1)), Buffer.compare(Buffer.from('a'), Buffer.from('b')));
const part = b.subarray(1, 3);
part[0] = 0x41;
console.log(part.toString('hex'), b.slice(0, 3).toString('hex'), part instanceof Buffer, part.buffer === b.buffer);
console.log(Buffer.concat([Buffer.from('a'), Buffer.from('bc')]).toString(), Buffer.byteLength('\u20ac'), Buffer.isBuffer(b), Buffer.isBuffer(new Uint8Array(1)));
console.log(b.indexOf('l'), b.includes('lo'), b.readUInt16BE(0), Buffer.from('abc').toString('utf8', 1, 2), Buffer.from('abc').toString('utf8', -5, 99));
console.log(JSON.stringify(Buffer.from('a')), Buffer.from('abc').fill('z').toString(), [...Buffer.from('ab').entries()]);
console.log(Buffer.from(Buffer.from('copy')).toString(), Buffer.from({ length: 2, 0: 7, 1: 8 }), Buffer.isEncoding('hex'));
try {
  Buffer.from(5);
} catch (error) {
  console.log(error.name);
}
console.log(btoa('\xff'), atob('/w=='), typeof Buffer.allocUnsafe(4).length);
console.log(Buffer.from('x'.repeat(60)));
const written = Buffer.alloc(6);
console.log(written.write('caf\u00e9', 1), written);
