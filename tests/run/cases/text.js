// SPDX-License-Identifier: MIT
'use strict';

const encoder = new TextEncoder();
console.log(encoder.encode('a\u00f1\u20ac\u{1F600}\ud800'), encoder.encode(), encoder.encoding);
console.log(encoder.encodeInto('a\u20acb', new Uint8Array(4)));
const decoder = new TextDecoder();
const bytes = encoder.encode('\ufeffa\u00f1\u20ac\u{1F600}');
console.log(JSON.stringify(decoder.decode(bytes)), new TextDecoder('utf-8', { ignoreBOM: true }).decode(bytes).length);
let out = '';
const stream = new TextDecoder();
for (const byte of bytes) out += stream.decode(Uint8Array.of(byte), { stream: true });
out += stream.decode();
console.log(out);
console.log(new TextDecoder().decode(Uint8Array.of(0xff, 0x61, 0xe2, 0x82)));
for (const bad of [[0xff], [0xc0, 0x80], [0xed, 0xa0, 0x80], [0xf5, 0x80, 0x80, 0x80], [0xe2, 0x82]]) {
  try {
    console.log(new TextDecoder('utf-8', { fatal: true }).decode(Uint8Array.from(bad)));
  } catch (error) {
    console.log(error.name, error.code);
  }
}
console.log(new TextDecoder('utf-16le').decode(Uint8Array.of(0x61, 0, 0x3d, 0xd8, 0, 0xde)), new TextDecoder('latin1').encoding);
console.log(new TextDecoder().decode(new Uint16Array([0x6161]).buffer), new TextDecoder().decode(new DataView(new ArrayBuffer(1))).length);
try {
  new TextDecoder('none');
} catch (error) {
  console.log(error.name, error.code);
}
