// SPDX-License-Identifier: MIT
//
// What happens to a property p of a contextified object: every kind of property, every thing that code can do to it.
// Prints a line per pair: "kind | operation | what came of it | the object afterwards | calls of accessors and traps".
'use strict';
const vm = require('vm');

let calls = [];
const object = (properties, prototype) => Object.create(prototype || Object.prototype, properties || {});
const data = (flags) => ({
  value: 1, writable: flags.includes('w'), enumerable: flags.includes('e'), configurable: flags.includes('c'),
});
const accessor = (flags, inherited) => {
  let stored = 1;
  return {
    get: flags.includes('g') ? () => { calls.push('get'); return stored; } : undefined,
    set: flags.includes('s') ? (value) => { calls.push(`set ${value}`); stored = value; } : undefined,
    enumerable: true, configurable: !flags.includes('!'),
  };
};
const thrower = (trap) => new Proxy(object({ p: data('wec') }), {
  [trap]() { throw new RangeError(`trap ${trap}`); },
});

const KINDS = {
  'absent': () => object(),
  'data': () => object({ p: data('wec') }),
  'undefined': () => object({ p: { ...data('wec'), value: undefined } }),
  'hidden': () => object({ p: data('wc') }),
  'read-only': () => object({ p: data('ec') }),
  'fixed': () => object({ p: data('we') }),
  'constant': () => object({ p: data('e') }),
  'accessor': () => object({ p: accessor('gs') }),
  'getter': () => object({ p: accessor('g') }),
  'setter': () => object({ p: accessor('s') }),
  'fixed accessor': () => object({ p: accessor('gs!') }),
  'inherited data': () => object({}, object({ p: data('wec') })),
  'inherited read-only': () => object({}, object({ p: data('ec') })),
  'inherited accessor': () => object({}, object({ p: accessor('gs') })),
  'frozen without': () => Object.freeze(object()),
  'frozen with': () => Object.freeze(object({ p: data('wec') })),
  'sealed': () => Object.seal(object({ p: data('wec') })),
  'no prototype': () => Object.create(null, { p: data('wec') }),
  'proxy': () => new Proxy(object({ p: data('wec') }), {}),
  'array': () => Object.defineProperty([1, 2], 'p', data('wec')),
};

const OPERATIONS = {
  'read': 'p',
  'typeof': 'typeof p',
  'read of this': 'this.p',
  'read of globalThis': 'globalThis.p',
  'assign': 'p = 2',
  'assign strictly': '"use strict"; p = 2',
  'assign to globalThis': 'globalThis.p = 2',
  'assign to globalThis strictly': '"use strict"; globalThis.p = 2',
  'add': 'p += 1',
  'assign and read': 'p = 2; p',
  'var': 'var p',
  'var with value': 'var p = 2; p',
  'function': 'function p() {}; typeof p',
  'let': 'let p = 2; p + typeof globalThis.p',
  'class': 'class p {}; typeof p',
  'delete': 'delete globalThis.p',
  'delete strictly': '"use strict"; delete globalThis.p',
  'delete and read': 'delete globalThis.p; typeof p',
  'define data': 'Object.defineProperty(globalThis, "p", { value: 2, writable: true, enumerable: true, configurable: true }).p',
  'define read-only': 'Object.defineProperty(globalThis, "p", { value: 2 }).p',
  'define accessor': 'Object.defineProperty(globalThis, "p", { get: () => 2, configurable: true }).p',
  'define and assign': 'Object.defineProperty(globalThis, "p", { value: 2, writable: false, configurable: true }); p = 3; p',
  'change enumerable': 'Object.defineProperty(globalThis, "p", { enumerable: false }); Object.keys(globalThis).includes("p")',
  'Reflect.set': 'Reflect.set(globalThis, "p", 2)',
  'Reflect.set for another': 'const o = {}; Reflect.set(globalThis, "p", 2, o) + String(o.p)',
  'through a child': 'const o = Object.create(globalThis); o.p = 2; o.p + " " + Object.hasOwn(o, "p")',
  'descriptor': 'const d = Object.getOwnPropertyDescriptor(globalThis, "p"); d && [typeof d.value, typeof d.get, typeof d.set, d.writable, d.enumerable, d.configurable].join()',
  'in': '"p" in globalThis',
  'hasOwn': 'Object.hasOwn(globalThis, "p")',
  'enumerable': 'Object.prototype.propertyIsEnumerable.call(globalThis, "p")',
  'keys': 'Object.keys(globalThis).includes("p")',
  'own names': 'Object.getOwnPropertyNames(globalThis).includes("p")',
  'for in': 'let found = 0; for (const key in globalThis) if (key === "p") found++; found',
  'eval': '(0, eval)("var p = 2"); p',
  'freeze': 'Object.freeze(globalThis)',
  'preventExtensions': 'Object.preventExtensions(globalThis)',
  'isExtensible': 'Object.isExtensible(globalThis)',
  'spread': '({ ...globalThis }).p',
};

// Less often wanted: one line each.
const SINGLE = [
  ['symbol read', () => { const o = {}; o.s = Symbol('s'); o[o.s] = 1; return o; }, 'globalThis[s]'],
  ['symbol write', () => ({ s: Symbol.for('x') }), 'globalThis[s] = 2; globalThis[s]'],
  ['symbol delete', () => ({ [Symbol.for('x')]: 1 }), 'delete globalThis[Symbol.for("x")]; globalThis[Symbol.for("x")]'],
  ['symbol keys', () => ({ [Symbol.for('x')]: 1 }), 'Object.getOwnPropertySymbols(globalThis).map(String).join()'],
  ['index read', () => ({ 5: 'five' }), 'globalThis[5]'],
  ['index write', () => ({}), 'globalThis[7] = 1; globalThis[7]'],
  ['index delete', () => ({ 5: 1 }), 'delete globalThis[5]; typeof globalThis[5]'],
  ['index define', () => ({}), 'Object.defineProperty(globalThis, 3, { value: 1, enumerable: true }); Object.getOwnPropertyDescriptor(globalThis, 3).writable'],
  ['index read-only', () => Object.defineProperty({}, 3, { value: 1 }), '"use strict"; globalThis[3] = 2'],
  ['index in', () => ({ 5: 1 }), '[5 in globalThis, 6 in globalThis].join()'],
  ['index keys', () => ({ b: 1, 5: 1, a: 1 }), 'Object.keys(globalThis).filter((k) => k !== "gc").join()'],
  ['large index', () => ({}), 'globalThis[4294967294] = 1; Object.keys(globalThis).filter((k) => k !== "gc").join()'],
  ['set prototype', () => ({ p: 1 }), 'Object.setPrototypeOf(globalThis, { q: 2 }); typeof q + p'],
  ['set __proto__ null', () => ({ p: 1 }), '__proto__ = null; p'],
  ['built-in hidden', () => ({ Map: 1 }), 'Map'],
  ['built-in overwritten', () => ({}), 'Map = 1; Map'],
  ['built-in deleted', () => ({}), 'delete globalThis.Map; typeof Map'],
  ['built-in undefined', () => ({}), 'undefined = 1; undefined'],
  ['built-in undefined strictly', () => ({}), '"use strict"; undefined = 1'],
  ['built-in NaN', () => ({ NaN: 1 }), 'String(NaN)'],
  ['globalThis overwritten', () => ({}), 'globalThis = 1; globalThis'],
  ['get throws', () => ({ get p() { throw new RangeError('own'); } }), 'p'],
  ['set throws', () => ({ set p(value) { throw new RangeError('own'); } }), 'p = 1'],
  ...['get', 'set', 'has', 'deleteProperty', 'defineProperty', 'getOwnPropertyDescriptor', 'ownKeys'].flatMap((trap) => [
    [`trap ${trap} on read`, () => thrower(trap), 'p'],
    [`trap ${trap} on write`, () => thrower(trap), 'p = 2'],
    [`trap ${trap} on delete`, () => thrower(trap), 'delete globalThis.p'],
    [`trap ${trap} on define`, () => thrower(trap), 'Object.defineProperty(globalThis, "p", { value: 3 }).p'],
    [`trap ${trap} on keys`, () => thrower(trap), 'Object.keys(globalThis).includes("p")'],
    [`trap ${trap} on in`, () => thrower(trap), '"p" in globalThis'],
    [`trap ${trap} on descriptor`, () => thrower(trap), 'typeof Object.getOwnPropertyDescriptor(globalThis, "p")'],
  ]),
];

function show(value) {
  if (typeof value === 'object' && value !== null) return 'an object';
  return typeof value === 'string' ? `"${value}"` : String(value);
}

function state(sandbox) {
  try {
    const found = Object.getOwnPropertyDescriptor(sandbox, 'p');
    if (!found) return 'no p';
    const flags = (found.writable ? 'w' : '') + (found.enumerable ? 'e' : '') + (found.configurable ? 'c' : '');
    return 'value' in found ? `p: ${typeof found.value === 'function' ? 'function' : String(found.value)} ${flags}` : `p: ${found.get ? 'g' : ''}${found.set ? 's' : ''} ${flags}`;
  } catch (error) {
    return error.message;
  }
}

function line(kind, operation, make, code) {
  const sandbox = make();
  const context = vm.createContext(sandbox);
  calls = [];
  let outcome;
  try {
    outcome = show(vm.runInContext(code, context));
  } catch (error) {
    outcome = error.name;
  }
  const called = calls.join(', ');
  console.log(`${kind} | ${operation} | ${outcome} | ${state(sandbox)} | ${called}`);
}

for (const [kind, make] of Object.entries(KINDS)) {
  for (const [operation, code] of Object.entries(OPERATIONS)) line(kind, operation, make, code);
}
for (const [operation, make, code] of SINGLE) line('single', operation, make, code);
