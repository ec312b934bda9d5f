// Console output that Kiln and Node 18 must agree on, byte by byte: console_test.c runs this file
// through both.
//
// Left out on purpose, because Kiln does not do what Node does:
//  - Symbol.for('nodejs.util.inspect.custom') and getters of Symbol.toStringTag: Kiln calls neither;
//  - proxies on a prototype chain, Symbol.hasInstance: Kiln runs no traps;
//  - %o of instances of a class: Node adds the members of their prototypes;
//  - Sets, Maps and objects of very many entries: Kiln stops at 64 KiB of text;
//  - console.trace, and warnings of count and time: Node shows its own frames, pid and hints;
//  - time and timeEnd: no two runs agree;
//  - styles, colors and terminal widths: Kiln's text is for no terminal.
'use strict';
const section = (name) => console.log(`--- ${name}`);

section('primitives');
console.log();
console.log('plain text');
console.log('');
console.log('two', 'strings');
console.log(1, -0, 0, 1.5, 1e21, 1e-7, NaN, Infinity, -Infinity, 123456789012345680000);
console.log(true, false, null, undefined);
console.log(10n, -5n, 2n ** 70n);
console.log(Symbol('s'), Symbol(), Symbol.iterator, Symbol.for('x y'));
console.log([1n, -0, 'a', null, undefined, true, Symbol('q')]);

section('strings');
console.log(['it\'s', 'say "x"', 'both \' and "', 'all \' " `', 'tpl \' " ${x}', 'back\\slash']);
console.log(['\n\t\r\b\f\v\0\x1b\x7f\x80\x9f', 'é', '日本', '😀', '\ud800', '\udc00x', 'a\ud800b']);
console.log({ s: 'x'.repeat(100), t: 'line1\nline2' });
console.log(['a long line that ends\nand another long line, long enough to be split into two\nend']);
console.log({ key: 'a long line that ends\nand another long line, long enough to be split\n' });
console.log(['y'.repeat(10001), 'z'.repeat(10002)].map((s) => s.length));
console.log(['y'.repeat(10003)]);
console.log('\ud800 lone', '\udfff');

section('objects');
console.log({});
console.log({ a: 1, b: { c: 2 } });
console.log({ a: { b: { c: { d: 1 } } } });
console.log({ a: { b: { c: {} } } });
console.log({ a: { b: { c: [] } } });
console.log({ a: { b: { c: [1] } } });
console.log({ 'a-b': 1, 'a b': 2, $: 3, _x1: 4, 1: 5, '01': 6, 'it\'s': 7, 'é': 8, '': 9 });
console.log({ [Symbol('k')]: 1, [Symbol()]: 2, [Symbol('a b\n')]: 3 });
console.log(Object.defineProperty({ v: 1 }, 'hidden', { value: 2 }));
console.log({ get a() { throw 1; }, set a(x) {}, get b() { throw 1; }, set c(x) {} });
console.log(Object.create(null));
console.log(Object.assign(Object.create(null), { a: 1 }));
console.log(Object.create({}), Object.create({ a: 1 }), Object.create(Object.create(null)));
console.log(Object.create(Object.create(Object.create(null))));
console.log({ __proto__: { constructor: 5 } });
console.log(JSON.parse('{"__proto__":1}'));
console.log({ undefined: undefined, null: null, nan: NaN });
console.log({ a: 'x'.repeat(20), b: 'y'.repeat(20), c: 'z'.repeat(20) });
console.log({ a: 'x'.repeat(20), b: 'y'.repeat(20), c: 'z'.repeat(21), d: 1 });
for (let n = 55; n < 85; n++) console.log({ key: 'x'.repeat(n) }, [n, 'x'.repeat(n - 10)]);
console.log({ a: { b: { c: 'x'.repeat(60) }, d: [1, 2, { e: 3 }] }, f: new Map([[{ g: 1 }, 2]]) });
console.log(Object.fromEntries(Array.from({ length: 30 }, (_, i) => [`key${i}`, i])));
console.log({ a: { a: { a: 1 } }, b: { a: 1 }, c: { a: { a: { a: {} } } } });
console.log({ deep: { deeper: [[[1, 2, [3]]], { x: [[]] }] } });
console.log((function () { return arguments; })(1, 'a'), (function () { return arguments; })());
console.log(Math, JSON, Reflect, Atomics);

section('circular');
const self = { name: 'self' };
self.self = self;
console.log(self);
const first = { second: {} };
first.second.first = first;
first.second.second = first.second;
console.log(first, [first]);
const ring = [];
ring.push(ring, [ring]);
console.log(ring);
const mapped = new Map();
mapped.set('me', mapped);
console.log(mapped);
const errored = new Error('round');
errored.stack = 'Error: round\n    at x (y.js:1:1)';
errored.me = errored;
console.log(errored);

section('classes and prefixes');
class A {}
class B extends A { constructor() { super(); this.x = 1; } }
class Tagged { constructor() { this.v = 1; } }
Tagged.prototype[Symbol.toStringTag] = 'Tag';
console.log(new A(), new B(), [new A()], new Tagged(), { [Symbol.toStringTag]: 'own' });
console.log(Object.defineProperty({}, Symbol.toStringTag, { value: 'T' }));
console.log(Object.defineProperty({ a: 1 }, Symbol.toStringTag, { value: 'T' }));
console.log(A, B, class {}, class extends A {}, class { static x = 1; });
console.log(Object.setPrototypeOf(class X {}, null));
console.log([A, B], { A, f() {} });
console.log({ a: { b: { c: new B() } } });
console.log(new (class extends Array {})(3), new (class Foo extends Map {})([[1, 2]]));
console.log(new (class Bar extends Set { constructor() { super(); this.k = 1; } })());
function Old(v) { this.v = v; }
console.log(new Old(1), Object.create(Old.prototype), Old.prototype, A.prototype, B.prototype);
console.log(Object.create(B.prototype), Object.create(new B()));
console.log(new (class Zahl extends Number {})(5), new (class extends String {})('x'));

section('functions');
console.log(function named() {}, function () {}, () => {}, async () => {}, function* g() {});
console.log(async function* ag() {}, Math.max, parseInt, Function, Object, Function.prototype);
console.log([() => {}, function f() {}], { m() {}, get x() { return 1; }, class() {} });
console.log({ classy() {}, f: function class_() {} });
console.log(Object.assign(function withProps() {}, { a: 1, b: { c: {} } }));
console.log(Object.setPrototypeOf(() => {}, null), Object.setPrototypeOf(function n() {}, null));
console.log((function bound() {}).bind(null), new Function('a', 'return a'));
console.log(Object.defineProperty(function () {}, 'name', { value: 'renamed' }));

section('arrays');
console.log([], [1], [1, 2, 3], ['a', 'b'], [[]], [[[[]]]], [[[[1]]]]);
console.log([undefined, null], [, 1], [1, , 2], [1, , , 2, ,], new Array(3), new Array(1));
console.log(Object.assign([1, 2], { x: 3, '-1': 4 }), Object.assign([], { a: 1 }));
console.log(Object.assign(new Array(5), { 2: 'x', k: 1 }), [...'abc']);
for (const n of [5, 6, 7, 8, 12, 20, 26, 27, 50, 99, 100, 101, 102, 200]) {
  console.log(Array.from({ length: n }, (_, i) => i));
  console.log(Array.from({ length: n }, (_, i) => i * 1000 - 5000));
  console.log(Array.from({ length: n }, (_, i) => `item ${i}`));
  console.log(Array.from({ length: n }, (_, i) => 'x'.repeat(i % 17)));
}
console.log(Array.from({ length: 10 }, (_, i) => ({ i })));
console.log(Array.from({ length: 30 }, (_, i) => i % 2 ? 'x' : i));
console.log(Array.from({ length: 30 }, (_, i) => BigInt(i) ** 5n));
console.log({ a: { b: Array.from({ length: 40 }, (_, i) => i) } });
console.log(Array.from({ length: 8 }, (_, i) => [i, i * 2]));
console.log(Array.from({ length: 10 }, (_, i) => '日本'.repeat(i % 3)), ['ｆｕｌｌ', 'e\u0301', 1, 2, 3, 4, 5]);
console.log(Array.from({ length: 10 }, (_, i) => ' '.repeat(i) + 'x'.repeat(40)));
console.log(Object.assign(Array.from({ length: 10 }, (_, i) => i), { extra: 'x' }));
const sparse = [];
sparse[150] = 1;
sparse[3] = 2;
console.log(sparse, Object.assign([], { 4294967294: 1 }));
const holes = Array.from({ length: 300 }, (_, i) => i);
for (let i = 0; i < 300; i += 2) delete holes[i];
console.log(holes);
console.log(Object.setPrototypeOf([1, 2], null));
console.log([1.5, 22.25, 333.125, 4, 5, 6, 7, 8], [-1, 10, -100, 1000, 5, 6, 7]);

section('collections');
console.log(new Map(), new Set(), new Map([['a', 1], [{ k: 1 }, [1, 2]]]), new Set([1, 'b', {}]));
console.log(new Map([['a', new Map([['b', new Map([['c', new Map()]])]])]]));
console.log(new Set([new Set([new Set([new Set([1])])])]));
console.log(Object.assign(new Map([[1, 2]]), { p: 1 }), Object.assign(new Set(), { p: 1 }));
console.log(new Map([[1, 2], [3, 4]]).entries(), new Map([[1, 2]]).keys(), new Map().values());
console.log(new Set([1, 2]).values(), new Set([1]).entries(), new Set()[Symbol.iterator]());
console.log(new WeakMap(), new WeakSet(), new WeakMap([[{}, 1]]));
console.log([1][Symbol.iterator](), 'a'[Symbol.iterator](), (function* gen() {})());
console.log(new Set(Array.from({ length: 30 }, (_, i) => i)));
console.log(new Map(Array.from({ length: 12 }, (_, i) => [i, `value ${i}`])));
console.log(Object.setPrototypeOf(new Map([[1, 2]]), null), Object.setPrototypeOf(new Set(), null));

section('typed arrays and buffers');
console.log(new Uint8Array(3), new Float64Array([1.5, -0, NaN]), new BigInt64Array([1n, -2n]));
console.log(new Int8Array(), new Uint8ClampedArray(2), new Uint16Array(7), new Float32Array([0.1]));
console.log(new Uint32Array(200), Object.assign(new Int16Array(2), { x: 1 }));
console.log(new ArrayBuffer(4), new ArrayBuffer(0), new SharedArrayBuffer(2));
console.log(new Uint8Array([1, 2, 255]).buffer, new ArrayBuffer(120));
console.log(new DataView(new ArrayBuffer(4), 1), { d: { e: { f: new Uint8Array(2) } } });
console.log(new (class Mine extends Uint8Array {})(2), Object.assign(new ArrayBuffer(1), { k: 1 }));

section('dates, regexps, promises, boxed, proxies');
console.log(new Date(0), new Date(NaN), new Date(1e15), new Date(-1e14), new Date(-6e13), [new Date(5)]);
console.log(new Date(8.64e15), new Date(-8.64e15), Object.assign(new Date(0), { a: 1 }));
console.log(/a/g, /[/]\n/dgimsuy, new RegExp(''), [/x/], Object.assign(/y/, { z: 1 }), new RegExp('/'));
console.log({ a: { b: { c: /deep/, d: new Date(0), e: Object.assign(/deep/, { x: 1 }) } } });
console.log(Promise.resolve(5), new Promise(() => {}), Promise.resolve({ a: { b: {} } }));
const rejected = Promise.reject(3);
rejected.catch(() => {});
console.log(rejected, Object.assign(Promise.resolve(1), { x: 1 }));
console.log(new Number(-0), new String('abc'), new Boolean(false), Object(1n), Object(Symbol('b')));
console.log(Object.assign(new String('ab'), { x: 1 }), Object.assign(new Number(1), { y: 2 }));
console.log(new Proxy({ a: 1 }, { get() { throw 1; } }), new Proxy([1, 2], {}), new Proxy(() => {}, {}));
console.log(new Proxy(new Proxy({ x: 1 }, {}), {}) instanceof Object, [new Proxy(class P {}, {})]);
const revoked = Proxy.revocable({}, {});
revoked.revoke();
console.log(revoked.proxy, [revoked.proxy]);
console.log(new Date(2020, 0).constructor.name, globalThis.Intl === undefined);

section('errors');
const shaped = (error, stack) => { error.stack = stack; return error; };
console.log(shaped(new Error('m'), 'Error: m\n    at f (file.js:1:2)\n    at g (file.js:3:4)'));
console.log(shaped(new Error('m'), 'Error: m'), [shaped(new TypeError('t'), 'TypeError: t')]);
console.log({ e: shaped(new RangeError('r'), 'RangeError: r\n    at f (file.js:1:2)') });
console.log(shaped(new Error('with\nlines'), 'Error: with\nlines\n    at f (file.js:1:2)'));
console.log(shaped(Object.assign(new Error('p'), { code: 'ECODE', n: { a: 1 } }), 'Error: p\n    at f (a.js:1:2)'));
console.log(shaped(Object.assign(new Error('p'), { name: 'Renamed' }), 'Error: p\n    at f (a.js:1:2)'));
console.log(shaped(Object.assign(new Error('p'), { message: 'changed' }), 'Error: p\n    at f (a.js:1:2)'));
class MyError extends Error {}
class Odd extends TypeError { get name() { return 'OddName'; } }
console.log(shaped(new MyError('mine'), 'Error: mine\n    at f (a.js:1:2)'), shaped(new MyError(), 'Error'));
console.log(shaped(new Error('no'), ''), shaped(new Error(), ''), shaped(new Error('n'), undefined));
const cause = shaped(new Error('cause'), 'Error: cause\n    at a (a.js:1:2)\n    at b (a.js:3:4)');
console.log(shaped(new Error('top', { cause }), 'Error: top\n    at f (a.js:1:2)'));
console.log(shaped(new Error('top', { cause: 'text' }), 'Error: top\n    at f (a.js:1:2)'));
const frames = '\n    at a (a.js:1:1)\n    at b (a.js:2:2)\n    at c (a.js:3:3)\n    at d (a.js:4:4)\n    at e (a.js:5:5)';
console.log(shaped(new Error('outer', { cause: shaped(new Error('inner'), `Error: inner\n    at z (z.js:9:9)${frames}`) }),
  `Error: outer\n    at y (y.js:8:8)${frames}`));
const list = new AggregateError([shaped(new Error('one'), 'Error: one\n    at f (a.js:1:2)'), 2], 'many');
console.log(shaped(list, 'AggregateError: many\n    at f (a.js:1:2)'));
console.log(shaped(Object.setPrototypeOf(new Error('np'), null), 'Error: np\n    at f (a.js:1:2)'));
console.log({ a: { b: { c: shaped(new Error('deep'), 'Error: deep\n    at f (a.js:1:2)') } } });
console.log(shaped(new SyntaxError('s'), 'custom stack text'), Error.prototype, MyError.prototype);
try { null.x; } catch (error) { console.log(error.message); }

section('format');
console.log('%s is %d years and %i, %f', 'Bob', 42.5, 42.9, '1.50abc', 'extra', { a: 1 });
console.log('%s %s %s %s %s', null, undefined, true, Symbol('x'), -0);
console.log('%s %s %s', { a: { b: 1 } }, [1, [2, [3]]], () => 1);
console.log('%s %s', new (class T { toString() { return 'T!'; } })(), { toString() { return 'own'; } });
console.log('%s %s %s', new Date(0), Object.create(null), new (class N {})());
console.log('%s|%s', shaped(new Error('e'), 'Error: e\n    at f (a.js:1:2)'), 12345678901234567890n);
console.log('%d %d %d %d %d %d', '0x10', 5n, Symbol('a'), {}, '', -0);
console.log('%i %i %i %i %i %i', '12px', ' -7.9', '0x1f', 'x', 9n, -0.5);
console.log('%f %f %f %f %f %f', '1e3x', '.5', '-.5e-2', 'Infinityx', 'e', '+1.');
console.log('%j %j %j', { a: [1, 'x'] }, undefined, 'str');
const loop = {};
loop.loop = loop;
console.log('%j', loop);
console.log('%o', { f: function fn() {}, a: [1, 2, { b: { c: { d: { e: 1 } } } }] });
console.log('%o', [1, 2, 3]);
console.log('%o %O', new Proxy({ a: 1 }, {}), new Proxy({ a: 1 }, {}));
console.log('%O', { a: { b: { c: { d: 1 } } } });
console.log('%o', new Uint8Array(2));
console.log('%c styled %c text', 'color: red', 'x');
console.log('100%', 1, '%', '%%');
console.log('%% %s', 'a');
console.log('%%', 'a');
console.log('%x %s', 'a', 'b');
console.log('%s');
console.log('%s %s', 'only one');
console.log('a%', 'b');
console.log('%s', 'a', 'b', 'c', 1, { x: 'y' });
console.log('%', 1);
console.log('%%%s%%', 5);
console.log(5, '%s', 'x');
console.log('text', { a: 'quoted' }, ['q'], 'raw');
console.log('multi\nline', { a: 1 });

section('groups');
console.group('G1');
console.log('in\ntwo lines');
console.group();
console.info({ a: 'x'.repeat(60), b: 1 });
console.groupCollapsed('%s!', 'G3');
console.debug('deep');
console.groupEnd();
console.groupEnd();
console.warn('one');
console.groupEnd();
console.groupEnd();
console.error('none');

section('others');
console.assert(true, 'silent');
console.assert(false);
console.assert(0, 'said %s', 'so');
console.assert(false, { a: 1 });
console.assert(false, 'a', { b: 1 });
console.count();
console.count('x');
console.count();
console.countReset();
console.count();
console.count(5);
console.count(undefined);
console.dir({ a: { b: { c: { d: { e: 1 } } } } }, { depth: 0 });
console.dir({ a: { b: { c: { d: { e: 1 } } } } }, { depth: null });
console.dir({ a: { b: { c: { d: { e: 1 } } } } });
console.dir('a string', null);
console.dir([1, 2], { showHidden: true });
console.dir(Object.defineProperty({}, 'x', { value: 1 }), { showHidden: true });
console.dirxml({ a: 1 }, 'b');

section('tables');
console.table([{ a: 1, b: 'x' }, { a: 2, c: true }]);
console.table([[1, 2], [3, 4, 5]]);
console.table([1, 'two', { three: 3 }]);
console.table(new Map([['a', 1], [{ k: 1 }, 2]]));
console.table(new Set([1, 'x']));
console.table(new Map([['a', 1]]).entries());
console.table(new Set([1]).values());
console.table({ r1: { c: 1 }, r2: { c: { d: 1 } }, r3: [1, 2, 3, 4, 5] });
console.table([{ a: 1, b: 2 }, { a: 3, b: 4 }], ['b']);
console.table([{ a: 1, b: 2 }, 5], ['b', 'zz']);
console.table([]);
console.table({});
console.table(5);
console.table('text');
console.table(null);
console.table(undefined);
console.table([{ name: '日本', x: 'é' }, { name: 'abc', x: '😀' }]);
console.table([{ o: { a: 1, b: 2, c: 3 }, p: { a: 1 } }]);
console.table([() => {}, function f() {}]);
