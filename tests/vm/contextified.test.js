// SPDX-License-Identifier: MIT
// The global of a contextified object, property by property.
'use strict';
const assert = require('assert');
const vm = require('vm');
const { test, throws } = require('./harness.js');

const run = (code, object) => vm.runInContext(code, vm.createContext(object));

test('G03', 'accessors of the object are called, once each, with the object behind them', () => {
  const log = [];
  const context = vm.createContext({
    get both() { log.push('get'); return 41; },
    set both(value) { log.push(`set ${value}`); },
    get only() { return 'read only'; },
  });
  assert.strictEqual(vm.runInContext('both', context), 41);
  vm.runInContext('both = 7', context);
  assert.deepStrictEqual(log, ['get', 'set 7']);
  assert.strictEqual(vm.runInContext('only = 1; only', context), 'read only');
  assert.strictEqual(typeof Object.getOwnPropertyDescriptor(context, 'both').get, 'function');
});

test('G03 P24', 'writing what is read-only throws in strict code and does nothing in sloppy code', () => {
  const object = Object.defineProperty({}, 'fixed', { value: 1, enumerable: true });
  const context = vm.createContext(object);
  assert.strictEqual(vm.runInContext('fixed = 2; fixed', context), 1);
  throws(() => vm.runInContext('"use strict"; fixed = 2', context), { name: 'TypeError' });
  assert.strictEqual(vm.runInContext('delete fixed', context), false);
  assert.strictEqual(object.fixed, 1);
});

test('G04', 'strict code may not make a global by assigning; sloppy code may', () => {
  const context = vm.createContext({});
  throws(() => vm.runInContext('"use strict"; made = 1', context), { name: 'ReferenceError' });
  assert.deepStrictEqual(Object.keys(context), []);
  vm.runInContext('made = 1', context);
  assert.strictEqual(context.made, 1);
  vm.runInContext('"use strict"; made = 2', context);
  assert.strictEqual(context.made, 2);
});

test('G04', 'var, function, class, let and const', () => {
  const context = vm.createContext({});
  vm.runInContext('var v = 1; function f() {} class C {} let l = 2; const c = 3', context);
  assert.deepStrictEqual(Object.keys(context).sort(), ['f', 'v']);
  assert.strictEqual(vm.runInContext('typeof C + l + c', context), 'function23');
});

test('G04 P20', 'defineProperty inside defines on the object', () => {
  const context = vm.createContext({});
  vm.runInContext(`
    Object.defineProperty(globalThis, 'data', { value: 1, writable: false, enumerable: false, configurable: true });
    Object.defineProperty(globalThis, 'accessor', { get() { return 'got' }, configurable: true, enumerable: true });`, context);
  const { value, writable, enumerable, configurable } = Object.getOwnPropertyDescriptor(context, 'data');
  assert.deepStrictEqual([value, writable, enumerable, configurable], [1, false, false, true]);
  assert.strictEqual(context.accessor, 'got');
  assert.strictEqual(vm.runInContext('data + accessor', context), '1got');
});

test('P21', 'a property may be defined again and its kind changed', () => {
  const context = vm.createContext({});
  vm.runInContext('Object.defineProperty(globalThis, "p", { value: 1, configurable: true, writable: true, enumerable: true })', context);
  vm.runInContext('Object.defineProperty(globalThis, "p", { get: () => 2, configurable: true })', context);
  assert.strictEqual(vm.runInContext('p', context), 2);
  vm.runInContext('Object.defineProperty(globalThis, "p", { value: 3, configurable: true, writable: true, enumerable: true })', context);
  assert.strictEqual(context.p, 3);
  assert.strictEqual(vm.runInContext('delete globalThis.p; typeof p', context), 'undefined');
  assert.strictEqual('p' in context, false);
});

test('G03', 'own properties are seen by in, hasOwnProperty, descriptors and keys', () => {
  const symbol = Symbol('s');
  const object = { a: 1, [symbol]: 2 };
  Object.defineProperty(object, 'hidden', { value: 3 });
  const context = vm.createContext(object);
  context.symbol = symbol;
  assert.strictEqual(vm.runInContext('"a" in globalThis && Object.hasOwn(globalThis, "a")', context), true);
  assert.strictEqual(vm.runInContext('"nowhere" in globalThis', context), false);
  assert.strictEqual(vm.runInContext('Object.keys(globalThis).filter((k) => k !== "gc").join()', context), 'a,symbol');
  assert.strictEqual(vm.runInContext('hidden', context), 3);
  assert.strictEqual(vm.runInContext('Object.getOwnPropertyNames(globalThis).includes("hidden")', context), true);
  assert.strictEqual(vm.runInContext('Object.getOwnPropertyDescriptor(globalThis, "a").value', context), 1);
  assert.strictEqual(vm.runInContext('globalThis[symbol]', context), 2);
  assert.strictEqual(vm.runInContext('Object.getOwnPropertySymbols(globalThis).includes(symbol)', context), true);
});

test('P22', 'indices are properties like any other', () => {
  const context = vm.createContext({ 5: 'five', name: 'n' });
  assert.strictEqual(vm.runInContext('globalThis[5] + globalThis["5"]', context), 'fivefive');
  vm.runInContext('globalThis[7] = "seven"; globalThis[4294967295] = "no index"; delete globalThis[5]', context);
  assert.deepStrictEqual(Object.keys(context), ['7', 'name', '4294967295']);
  assert.strictEqual(vm.runInContext('Object.keys(globalThis).filter((k) => k !== "gc").sort().join()', context), '4294967295,7,name');
  assert.strictEqual(vm.runInContext('7 in globalThis && !(5 in globalThis)', context), true);
});

test('P22', 'large indices, too', { ours: 'they become negative in Node' }, () => {
  const context = vm.createContext({});
  vm.runInContext('globalThis[4294967294] = "large"; globalThis[2147483648] = "half"', context);
  assert.deepStrictEqual(Object.keys(context), ['2147483648', '4294967294']);
  assert.strictEqual(vm.runInContext('globalThis[4294967294] + globalThis[2147483648]', context), 'largehalf');
});

test('P23', 'what a Proxy or an accessor throws is thrown to the code', () => {
  const boom = () => { throw new RangeError('boom'); };
  const proxy = (trap) => vm.createContext(new Proxy({ x: 1 }, { [trap]: boom }));
  throws(() => vm.runInContext('x = 1', proxy('set')), { message: 'boom' });
  throws(() => vm.runInContext('delete globalThis.x', proxy('deleteProperty')), { message: 'boom' });
  throws(() => run('x = 1', { set x(value) { boom(value); } }), { message: 'boom' });
  assert.strictEqual(vm.runInContext('6 * 7', proxy('get')), 42);
});

test('P23', 'also what getters and the get trap of a Proxy throw', { ours: 'Node 22 to 26 swallow it' }, () => {
  const handler = { get() { throw new RangeError('boom'); } };
  throws(() => run('x', { get x() { return handler.get(); } }), { message: 'boom' });
  const context = vm.createContext(new Proxy({ x: 1 }, handler));
  for (const code of ['x', 'globalThis.x', 'typeof x']) throws(() => vm.runInContext(code, context), { message: 'boom' });
});

test('P21', 'prototypes of the global may be looked at and set without harm', () => {
  for (const code of ['Object.setPrototypeOf(globalThis, null)', '__proto__ = null', 'globalThis.__proto__ = { extra: 1 }', 'Object.setPrototypeOf(globalThis, { extra: 1 })']) {
    const context = vm.createContext({ x: 1 });
    try {
      vm.runInContext(code, context);
    } catch (error) {
      assert.strictEqual(error.name, 'TypeError');
    }
    assert.strictEqual(vm.runInContext('x', context), 1, code);
  }
});

test('D17', 'properties of the object\'s prototype are readable', () => {
  const object = Object.create({ inherited: 1, get getter() { return 2; } });
  const context = vm.createContext(object);
  assert.strictEqual(vm.runInContext('inherited + getter', context), 3);
  assert.strictEqual(vm.runInContext('globalThis.inherited', context), 1);
  vm.runInContext('inherited = 5', context);
  assert.strictEqual(object.inherited, 5);
  assert.strictEqual(Object.getPrototypeOf(object).inherited, 1);
});

test('D17', 'but they are none of the global\'s own, nor "in" it', { node: 26 }, () => {
  const context = vm.createContext(Object.create({ inherited: 1 }));
  assert.strictEqual(vm.runInContext('"inherited" in globalThis', context), false);
  assert.strictEqual(vm.runInContext('Object.hasOwn(globalThis, "inherited")', context), false);
  assert.strictEqual(vm.runInContext('Object.getOwnPropertyDescriptor(globalThis, "inherited")', context), undefined);
  assert.strictEqual(vm.runInContext('Object.keys(globalThis).includes("inherited")', context), false);
});

test('D18', 'a frozen object stays as it is, whatever code assigns', () => {
  const object = Object.freeze({ a: 1 });
  const context = vm.createContext(object);
  vm.runInContext('a = 2; b = 3', context);
  assert.deepStrictEqual(object, { a: 1 });
  assert.strictEqual(vm.runInContext('a', context), 1);
});

test('D19', 'function declarations assign, and so call a setter of the object, as in Node', () => {
  const log = [];
  const object = Object.defineProperty({}, 'f', {
    get() { log.push('get'); return undefined; },
    set(value) { log.push(`set ${typeof value}`); },
    configurable: true, enumerable: true,
  });
  assert.strictEqual(run('function f() { return 42 } typeof f', object), 'undefined');
  assert.ok(log.includes('set function'));
  assert.strictEqual(typeof Object.getOwnPropertyDescriptor(object, 'f').set, 'function');
});

test('G03', 'a property of the object hides the built-in of its name, and shows it again', () => {
  const context = vm.createContext({ Map: 'mine' });
  assert.strictEqual(vm.runInContext('Map', context), 'mine');
  delete context.Map;
  assert.strictEqual(vm.runInContext('typeof Map', context), 'function');
});

test('G03', 'undefined as a value is a value', () => {
  const context = vm.createContext({ u: undefined });
  assert.strictEqual(vm.runInContext('u', context), undefined);
  assert.strictEqual(vm.runInContext('"u" in globalThis', context), true);
  throws(() => vm.runInContext('v', context), { name: 'ReferenceError', message: 'v is not defined' });
});

test('CX03', 'globalThis, this and the object are three names of the same properties', () => {
  const context = vm.createContext({});
  vm.runInContext('this.a = 1; globalThis.b = 2; c = 3; (function () { this.d = 4 })()', context);
  assert.deepStrictEqual(context, { a: 1, b: 2, c: 3, d: 4 });
  assert.strictEqual(vm.runInContext('this === globalThis', context), true);
});
