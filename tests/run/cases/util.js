// SPDX-License-Identifier: MIT
'use strict';

const util = require('util');
const { inspect, types } = util;
console.log(inspect('it\'s'), inspect('a'), inspect(`a'b"c`), inspect('a\nb'), inspect(''), inspect(-0), inspect(5n), inspect(Symbol('s')));
console.log(inspect({ a: { b: { c: { d: 1 } } } }), inspect([1, , 3]), inspect(new Map([[{ a: 1 }, 'b']])), inspect(new Set([1])));
console.log(util.format('%s %d %i %f %j %% %x', 'a', '5', 5.7, '1.5', { a: 1 }), util.format('a', 'b', { c: 1 }), util.format(1, 'x'), util.format());
console.log(util.format('%s', Symbol('x')), util.format('%o', 1), util.format('%s'), util.format('%s', null, undefined));
class Shown {
  [inspect.custom](depth, options) {
    return `Shown at ${depth} ${typeof options}`;
  }
}
console.log(inspect(new Shown()));
console.log(new Shown(), 'text', 5);
console.log('%s and', 'x', new Shown());
console.log(util.isDeepStrictEqual({ a: [1] }, { a: [1] }), util.isDeepStrictEqual([1], ['1']));
function Parent() {}
function Child() {}
util.inherits(Child, Parent);
console.log(new Child() instanceof Parent, Child.super_ === Parent);
util.promisify((a, callback) => callback(null, a * 2))(4).then(console.log);
util.promisify((callback) => callback(new Error('no')))().catch((error) => console.log(error.message));
util.callbackify(async (x) => x + 1)(1, (error, value) => console.log(error, value));
util.callbackify(async () => { throw null; })((error) => console.log(error.code, error.reason));
const old = util.deprecate((a) => a, 'it is old', 'DEP9');
process.on('warning', (warning) => console.log(warning.name, warning.code, warning.message));
console.log(old(1), old(2));
const values = {
  proxy: new Proxy({}, {}), date: new Date(), regexp: /a/, map: new Map(), promise: Promise.resolve(), error: new Error(),
  buffer: new ArrayBuffer(1), view: new DataView(new ArrayBuffer(1)), bytes: new Uint8Array(1), floats: new Float64Array(1),
  boxed: Object(1), async: async () => {}, generator: function*() {}, args: (function() { return arguments; })(), fake: { __proto__: Date.prototype },
};
for (const name of Object.keys(values)) {
  console.log(name, Object.keys(types).filter((type) => !['isExternal', 'isKeyObject', 'isCryptoKey', 'isEventTarget'].includes(type) && types[type](values[name])).sort().join());
}
