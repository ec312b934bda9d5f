// SPDX-License-Identifier: MIT
//
// What code does to globals of a contextified object, and what it does to the object. Each case is a name, an
// expression that makes the object, and steps: code that runs in its context or, after "main:", outside, where
// `sandbox` is the object and `inner` its context's globalThis. contextify_node.js runs them under official Node,
// contextify_test.c through the C API; each prints a line per case: what the steps gave, and the object at the end.
'use strict';

globalThis.show = function show(value, depth = 0) {
  if (value === globalThis.sandbox && depth > 0) return '<sandbox>';
  if (value !== undefined && value === globalThis.inner && depth >= 0) return '<inner>';
  if (typeof value === 'string') return JSON.stringify(value);
  if (typeof value === 'function') return `function ${value.name}`;
  if (typeof value === 'bigint') return `${value}n`;
  if (typeof value !== 'object' || value === null) return Object.is(value, -0) ? '-0' : String(value);
  if (depth > 2) return '...';
  if (Array.isArray(value)) return `[${Array.prototype.map.call(value, (item) => show(item, depth + 1)).join(', ')}]`;
  const parts = [];
  for (const key of Reflect.ownKeys(value)) {
    const property = Reflect.getOwnPropertyDescriptor(value, key);
    if (property === undefined) continue;
    const flags = (property.writable ? 'w' : '') + (property.enumerable ? 'e' : '') + (property.configurable ? 'c' : '');
    const marks = flags === 'wec' ? '' : `<${flags}>`;
    const accessors = (property.get ? 'get' : '') + (property.set ? 'set' : '');
    parts.push(`${String(key)}${marks}: ${'value' in property ? show(property.value, depth + 1) : accessors}`);
  }
  return `${Object.isFrozen(value) ? 'frozen ' : ''}{${parts.join(', ')}}`;
};

globalThis.cases = [
  // reading
  ['get-own', '({x: 1})', ['x', 'globalThis.x', 'this.x']],
  ['get-undeclared', '({})', ['x', 'typeof x', 'globalThis.x']],
  ['get-builtin', '({})', ['typeof Array', 'typeof Math.max', 'undefined']],
  ['get-shadows-builtin', '({Array: 5, undefined: 6})', ['Array', 'globalThis.undefined']],
  ['get-prototype', 'Object.create({x: 1})', ['x', 'typeof x', 'globalThis.x']],
  ['get-prototype-accessor', 'Object.create({get x() { return this === sandbox; }})', ['x']],
  ['get-class-instance', 'new (class A { #p = 3; get x() { return this.#p; } })', ['x']],
  ['get-accessor', '({get x() { return 7; }})', ['x', 'globalThis.x']],
  ['get-accessor-this', '({get x() { return this === sandbox; }})', ['x']],
  ['get-accessor-throws', '({get x() { throw new Error("boom"); }})',
    ['x', 'typeof x', 'globalThis.x', 'try { x } catch (e) { e.message }']],
  ['get-symbol', '({[Symbol.for("s")]: 1})', ['globalThis[Symbol.for("s")]', 'Symbol.for("s") in globalThis']],
  ['get-index', '({0: "a", 7: "b"})', ['globalThis[0]', 'globalThis["7"]', 'globalThis[8]', 'this[0]']],
  ['get-big-index', '({4294967294: "a", 4294967295: "b"})', ['globalThis[4294967294]', 'globalThis[4294967295]']],
  ['get-self', '(globalThis.t = {}, t.me = t, t)', ['me === globalThis', 'me.me === globalThis', 'globalThis === this']],
  ['get-null-prototype', 'Object.assign(Object.create(null), {x: 1})', ['x', 'typeof toString', 'toString === Object.prototype.toString']],
  ['get-array', '["a", "b"]', ['globalThis[0]', 'length', 'length = 1; globalThis[1]']],
  ['get-date', 'new Date(0)', ['Object.prototype.toString.call(globalThis)', 'typeof getTime']],
  ['to-string-tag', 'new (class Foo {})', ['Object.prototype.toString.call(globalThis)', 'globalThis[Symbol.toStringTag]']],
  ['to-string-tag-own', '({[Symbol.toStringTag]: "Mine"})', ['Object.prototype.toString.call(globalThis)']],
  ['added-outside', '({})', ['typeof x', 'main:sandbox.x = 1', 'x', 'main:delete sandbox.x', 'typeof x']],
  ['inner-global', '({x: 1})', ['main:inner.x', 'main:inner === sandbox', 'main:inner.y = 2', 'y', 'main:sandbox.y']],
  ['inner-global-builtin', '({})', ['main:inner.Array === Array', 'main:typeof inner.Array', 'main:sandbox.Array']],

  // writing
  ['set-sloppy', '({})', ['x = 1', 'x', 'globalThis.x', 'Object.keys(globalThis)']],
  ['set-strict', '({})', ['"use strict"; x = 1', 'typeof x']],
  ['set-strict-declared', '({x: 0})', ['"use strict"; x = 1', 'x']],
  ['set-strict-this', '({})', ['"use strict"; this.x = 1', 'x']],
  ['set-strict-typeof', '({})', ['"use strict"; typeof x', '"use strict"; globalThis.x = undefined; x = 2; x']],
  ['set-over-builtin', '({})', ['Array = 5; Array', 'main:sandbox.Array', 'main:inner.Array']],
  ['set-prototype-data', 'Object.create({x: 1})', ['x = 2; x', 'main:Object.getPrototypeOf(sandbox).x']],
  ['set-prototype-readonly', 'Object.create(Object.freeze({x: 1}))', ['x = 2; x', '"use strict"; x = 3']],
  ['set-readonly', 'Object.defineProperty({}, "x", {value: 1})', ['x = 2; x', '"use strict"; x = 3', 'globalThis.x = 4; x']],
  ['set-readonly-configurable', 'Object.defineProperty({}, "x", {value: 1, configurable: true})', ['x = 2; x', 'delete globalThis.x', 'x = 3; x']],
  ['set-accessor', '({set x(v) { this.log = (this.log || "") + v; }, get x() { return 0; }})', ['x = 1; x', 'globalThis.x = 2; x', '"use strict"; x = 3', 'log']],
  ['set-accessor-once', '({n: 0, set x(v) { this.n++; }})', ['x = 1', 'this.x = 2', 'globalThis["x"] = 3', 'n', 'x']],
  ['set-getter-only', '({get x() { return 1; }})', ['x = 2; x', '"use strict"; x = 3', 'globalThis.x = 4; x']],
  ['set-accessor-throws', '({set x(v) { throw new Error("boom " + v); }})', ['x = 1', '"use strict"; x = 2', 'try { x = 3 } catch (e) { e.message }']],
  ['set-prototype-accessor', 'Object.create({set x(v) { this.got = v; }})', ['x = 1', 'got', 'Object.keys(globalThis)']],
  ['set-symbol', '({})', ['globalThis[Symbol.for("s")] = 1', 'globalThis[Symbol.for("s")]', 'main:sandbox[Symbol.for("s")]']],
  ['set-symbol-declared', '({[Symbol.for("s")]: 0})', ['globalThis[Symbol.for("s")] = 1', 'main:sandbox[Symbol.for("s")]']],
  ['set-index', '({})', ['globalThis[0] = "a"', 'globalThis[0]', 'globalThis["1"] = "b"', 'Object.keys(globalThis)']],
  ['set-index-strict', '({})', ['"use strict"; globalThis[5] = 1; globalThis[5]']],
  ['set-self', '({})', ['me = globalThis; me === globalThis', 'main:sandbox.me === inner']],
  ['set-undefined', '({})', ['x = undefined', '"x" in globalThis', 'typeof x']],
  ['set-with-getter-chain', '({o: {}})', ['o.p = 1; o.p', 'o.q = o; o.q.q.p']],
  ['set-compound', '({n: 1})', ['n += 1; n++; n', 'n **= 3', 'n ??= 5; n ||= 6; n &&= 7']],
  ['set-destructuring', '({})', ['[a, b = 2] = [1]; a + b', '({c, d: {e}} = {c: 3, d: {e: 4}}); c + e']],
  ['set-for', '({})', ['for (i = 0; i < 3; i++); i', 'for (k in {p: 1}); k', 'for (v of [8, 9]); v']],
  ['set-outside-again', '({})', ['x = 1', 'main:sandbox.x = 2', 'x', 'x = 3', 'main:sandbox.x']],
  ['set-reflect', '({})', ['Reflect.set(globalThis, "x", 1)', 'x', 'Reflect.set(globalThis, "y", 1, {}) + " " + typeof y']],
  ['set-inherited-receiver', '({x: 1})', ['o = Object.create(globalThis); o.x = 2; [o.x, x, Object.keys(o)]']],

  // declarations
  ['var', '({})', ['var x = 1; x', 'delete globalThis.x', 'x', 'globalThis.x']],
  ['var-bare', '({})', ['var x; typeof x', '"x" in globalThis', 'Object.keys(globalThis)']],
  ['var-existing', '({x: 5})', ['var x; x', 'var x = 6; x']],
  ['var-strict', '({})', ['"use strict"; var x = 1; x', 'x']],
  ['var-accessor', '({get x() { return 1; }, set x(v) { this.y = v; }})', ['var x; x', 'var x = 2; x', 'y']],
  ['var-over-builtin', '({})', ['var Array; typeof Array', 'var Array = 3; Array']],
  ['function', '({})', ['function f() { return 1; } f()', 'globalThis.f()', 'main:sandbox.f()', 'delete globalThis.f', 'typeof f']],
  ['function-strict', '({})', ['"use strict"; function f() { return 1; } f()', 'f()']],
  ['function-existing', '({f: 1})', ['function f() {} typeof f', 'typeof globalThis.f']],
  ['function-accessor', '({get f() { return 1; }, set f(v) { this.got = typeof v; }})', ['function f() {} typeof f', 'got']],
  ['function-twice', '({})', ['function f() { return 1; }', 'function f() { return 2; } f()']],
  ['function-in-block', '({})', ['{ function f() { return 1; } } f()', 'typeof globalThis.f']],
  ['function-expression', '({})', ['g = function () { return 1; }; g()', '"use strict"; this.h = () => 2; h()', 'this.k = function () {}; typeof k']],
  ['function-readonly', 'Object.defineProperty({}, "f", {value: 1})', ['function f() {} typeof f']],
  ['class', '({})', ['class A {} typeof A', 'typeof A', 'globalThis.A', 'class A {}']],
  ['let', '({})', ['let x = 1; x', 'x', 'globalThis.x', 'let x = 2', 'x = 3; x', 'delete globalThis.x']],
  ['let-existing', '({x: 1})', ['let x = 2; x', 'globalThis.x', 'x']],
  ['const', '({})', ['const x = 1; x', 'x = 2', 'x', 'var x']],
  ['let-then-var', '({})', ['let x = 1', 'var x = 2', 'function x() {}']],
  ['var-then-let', '({})', ['var x = 1', 'let x = 2', 'x']],
  ['let-tdz', '({})', ['try { x } catch (e) { e.name } let x = 1']],
  ['eval-var', '({})', ['eval("var x = 1"); x', 'delete globalThis.x', 'typeof x', '(0, eval)("var y = 2"); y']],
  ['eval-function', '({})', ['eval("function f() { return 1; }"); f()', '(0, eval)("function g() { return 2; }"); g()', 'main:sandbox.g()']],
  ['eval-let', '({})', ['eval("let x = 1; x")', 'typeof x']],
  ['new-function', '({x: 1})', ['new Function("return x")()', 'new Function("x = 5; z = 6")(); [x, z]']],

  // having
  ['in', '({x: 1})', ['"x" in globalThis', '"y" in globalThis', '"Array" in globalThis', '"toString" in globalThis']],
  ['in-prototype', 'Object.create({x: 1})', ['"x" in globalThis', 'Reflect.has(globalThis, "x")', 'globalThis.hasOwnProperty("x")']],
  ['has-own', '({x: 1, get y() {}})', ['Object.hasOwn(globalThis, "x")', 'hasOwnProperty("y")', 'Object.hasOwn(globalThis, "z")', 'Object.hasOwn(globalThis, "Array")']],
  ['has-index', '({1: 1})', ['1 in globalThis', '2 in globalThis', 'Object.hasOwn(globalThis, 1)']],
  ['property-is-enumerable', 'Object.defineProperty({x: 1}, "y", {value: 2})', ['propertyIsEnumerable("x")', 'propertyIsEnumerable("y")', 'propertyIsEnumerable("Array")']],
  ['with', '({x: 1})', ['with ({x: 2}) x', 'with ({}) x', 'with ({}) { y = 3 } y', 'with (globalThis) x']],
  ['typeof', '({x: 1})', ['typeof x', 'typeof y', 'typeof globalThis.y', 'typeof globalThis']],

  // descriptors
  ['descriptor-data', '({x: 1})', ['Object.getOwnPropertyDescriptor(globalThis, "x")', 'Object.getOwnPropertyDescriptor(globalThis, "y")']],
  ['descriptor-accessor', '({get x() { return 1; }})', ['{ const d = Object.getOwnPropertyDescriptor(globalThis, "x"); [typeof d.get, d.set, d.enumerable, d.configurable] }']],
  ['descriptor-frozen', 'Object.freeze({x: 1})', ['Object.getOwnPropertyDescriptor(globalThis, "x")']],
  ['descriptor-builtin', '({})', ['{ const d = Object.getOwnPropertyDescriptor(globalThis, "Array"); [typeof d.value, d.writable, d.enumerable, d.configurable] }', 'Object.getOwnPropertyDescriptor(globalThis, "undefined")']],
  ['descriptor-var', '({})', ['var x = 1; Object.getOwnPropertyDescriptor(globalThis, "x")']],
  ['descriptor-function', '({})', ['function f() {} { const d = Object.getOwnPropertyDescriptor(globalThis, "f"); [d.writable, d.enumerable, d.configurable] }']],
  ['descriptor-index', '({3: 1})', ['Object.getOwnPropertyDescriptor(globalThis, 3)', 'Object.getOwnPropertyDescriptor(globalThis, "3")']],
  ['descriptor-symbol', '({[Symbol.for("s")]: 1})', ['Object.getOwnPropertyDescriptor(globalThis, Symbol.for("s"))']],
  ['descriptor-prototype', 'Object.create({x: 1})', ['Object.getOwnPropertyDescriptor(globalThis, "x")']],
  ['descriptors', '({x: 1, get y() { return 2; }})', ['{ const d = Object.getOwnPropertyDescriptors(globalThis); [d.x, typeof d.y.get, typeof d.Array] }']],

  // defining
  ['define-data', '({})', ['Object.defineProperty(globalThis, "x", {value: 1}); x', 'x = 2; x', 'Object.getOwnPropertyDescriptor(globalThis, "x")']],
  ['define-all', '({})', ['Object.defineProperty(globalThis, "x", {value: 1, writable: true, enumerable: true, configurable: true}); x', 'x = 2; x', 'delete globalThis.x', 'typeof x']],
  ['define-existing', '({x: 1})', ['Object.defineProperty(globalThis, "x", {value: 2}); x', 'Object.getOwnPropertyDescriptor(globalThis, "x")']],
  ['define-accessor', '({})', ['Object.defineProperty(globalThis, "x", {get() { return 1; }, configurable: true}); x', 'x = 2; x', 'delete globalThis.x', 'typeof x']],
  ['define-setter', '({})', ['Object.defineProperty(globalThis, "x", {set(v) { globalThis.n = (globalThis.n || 0) + v; }})', 'x = 2; n', 'globalThis.x = 3; n', '"use strict"; x = 4; n', 'x']],
  ['define-get-set', '({})', ['Object.defineProperty(globalThis, "x", {get() { return v; }, set(n) { v = n * 2; }, configurable: true, enumerable: true}); x = 1; x', 'Object.keys(globalThis)']],
  ['define-twice', '({})', ['Object.defineProperty(globalThis, "x", {value: 1, configurable: true}); Object.defineProperty(globalThis, "x", {value: 2, configurable: true}); x', 'Object.defineProperty(globalThis, "x", {get() { return 3; }, configurable: true}); x']],
  ['define-twice-fixed', '({})', ['Object.defineProperty(globalThis, "x", {value: 1})', 'Object.defineProperty(globalThis, "x", {value: 2})', 'x', 'Reflect.defineProperty(globalThis, "x", {value: 3})', 'x']],
  ['define-enumerable', '({x: 1})', ['Object.defineProperty(globalThis, "x", {enumerable: false}); x', 'Object.keys(globalThis)']],
  ['define-symbol', '({})', ['Object.defineProperty(globalThis, Symbol.for("s"), {value: 1, configurable: true}); globalThis[Symbol.for("s")]', 'Object.getOwnPropertySymbols(globalThis).length']],
  ['define-index', '({})', ['Object.defineProperty(globalThis, 0, {value: "a", enumerable: true}); globalThis[0]', 'Object.keys(globalThis)']],
  ['define-properties', '({})', ['Object.defineProperties(globalThis, {x: {value: 1}, y: {value: 2, enumerable: true}}); x + y']],
  ['define-builtin', '({})', ['Object.defineProperty(globalThis, "Array", {value: 1, configurable: true}); Array', 'delete globalThis.Array', 'typeof Array']],
  ['define-undefined', '({})', ['Object.defineProperty(globalThis, "undefined", {value: 1})', 'Reflect.defineProperty(globalThis, "NaN", {value: 1})']],
  ['define-on-frozen', 'Object.freeze({x: 1})', ['Reflect.defineProperty(globalThis, "x", {value: 2})', 'Reflect.defineProperty(globalThis, "y", {value: 2})', 'x', 'typeof y']],
  ['define-outside', '({})', ['main:Object.defineProperty(sandbox, "x", {get() { return 1; }, configurable: true}); 0', 'x', 'main:Object.defineProperty(inner, "y", {value: 2}); 0', 'y']],
  ['define-getter-method', '({})', ['globalThis.__defineGetter__("x", () => 4); x', 'globalThis.__lookupGetter__("x")()']],

  // deleting
  ['delete', '({x: 1})', ['delete x', 'typeof x', 'delete globalThis.x']],
  ['delete-after-set', '({})', ['x = 1; delete x', 'typeof x']],
  ['delete-fixed', 'Object.defineProperty({}, "x", {value: 1})', ['delete x', 'x', '"use strict"; delete globalThis.x', 'Reflect.deleteProperty(globalThis, "x")']],
  ['delete-builtin', '({})', ['delete globalThis.Array', 'typeof Array', 'delete globalThis.undefined']],
  ['delete-index', '({0: 1})', ['delete globalThis[0]', 'globalThis[0]', '0 in globalThis']],
  ['delete-symbol', '({[Symbol.for("s")]: 1})', ['delete globalThis[Symbol.for("s")]', 'globalThis[Symbol.for("s")]']],
  ['delete-prototype', 'Object.create({x: 1})', ['delete globalThis.x', 'x']],
  ['delete-outside', '({})', ['x = 1', 'main:delete sandbox.x', 'typeof x', '"x" in globalThis', 'Object.hasOwn(globalThis, "x")']],
  ['delete-var-outside', '({})', ['var x = 1', 'main:delete sandbox.x', 'typeof x', 'x = 2; x']],
  ['delete-accessor', '({get x() { return 1; }})', ['delete x', 'typeof x']],

  // listing
  ['keys', '({b: 1, a: 2, 1: 3, [Symbol.for("s")]: 4})', ['Object.keys(globalThis)', 'Object.values(globalThis)', 'Object.entries(globalThis)']],
  ['keys-non-enumerable', 'Object.defineProperty({x: 1}, "y", {value: 2})', ['Object.keys(globalThis)', 'Object.getOwnPropertyNames(globalThis).includes("y")']],
  ['keys-prototype', 'Object.create({x: 1}, {y: {value: 2, enumerable: true}})', ['Object.keys(globalThis)', '{ const r = []; for (const k in globalThis) r.push(k); r.filter((k) => k === "x" || k === "y") }']],
  ['for-in', '({a: 1, 0: 2, [Symbol.for("s")]: 3})', ['{ const r = []; for (const k in globalThis) r.push(k); r }']],
  ['own-names', '({a: 1, 2: 1})', ['{ const n = Object.getOwnPropertyNames(globalThis); [n.includes("a"), n.includes("2"), n.includes("Array"), n.includes("globalThis")] }']],
  ['own-symbols', '({[Symbol.for("s")]: 1})', ['Object.getOwnPropertySymbols(globalThis).map(String)']],
  ['own-keys', '({a: 1, [Symbol.for("s")]: 1, 5: 1})', ['{ const k = Reflect.ownKeys(globalThis); [k.includes("a"), k.includes("5"), k.includes(Symbol.for("s"))] }']],
  ['spread', '({a: 1, get b() { return 2; }})', ['({...globalThis})', 'Object.assign({}, globalThis)']],
  ['json', '({a: 1, b: [1, {c: null}]})', ['JSON.stringify(globalThis)']],
  ['many-indices', 'Object.assign({}, [1, 2, 3])', ['Object.keys(globalThis)', '{ const r = []; for (const k in globalThis) r.push(k); r }']],
  ['typed-array', 'new Uint8Array([7, 8])', ['globalThis[0]', 'globalThis[1] = 9; globalThis[1]', 'Object.keys(globalThis)', 'globalThis[5] = 1; globalThis[5]']],

  // freezing
  ['freeze-inside', '({x: 1})', ['Object.freeze(globalThis)', 'x = 2; x', 'y = 3; y']],
  ['prevent-extensions', '({x: 1})', ['Object.preventExtensions(globalThis)', 'Reflect.preventExtensions(globalThis)', 'Object.isExtensible(globalThis)', 'y = 1; y']],
  ['seal', '({x: 1})', ['Object.seal(globalThis)', 'Object.isSealed(globalThis)', 'delete x']],
  ['is-frozen', 'Object.freeze({x: 1})', ['Object.isFrozen(globalThis)', 'Object.isExtensible(globalThis)']],
  ['frozen-sandbox', 'Object.freeze({x: 1})', ['x = 2; x', 'y = 3; typeof y', '"use strict"; x = 4', '"use strict"; this.z = 5; typeof z', 'var v = 6; v', 'function f() {} typeof f', 'delete globalThis.x']],
  ['frozen-later', '({x: 1})', ['main:Object.freeze(sandbox); 0', 'x = 2; x', 'y = 3; typeof y']],
  ['non-extensible-sandbox', 'Object.preventExtensions({x: 1})', ['x = 2; x', 'y = 3; typeof y', 'main:sandbox.y']],

  // prototypes
  ['prototype-of', '({})', ['Object.getPrototypeOf(globalThis) === Object.prototype', 'globalThis instanceof Object', 'globalThis.constructor === Object']],
  ['set-prototype-of', '({})', ['Reflect.setPrototypeOf(globalThis, {x: 1})', 'typeof x']],
  ['proto-get', '({})', ['globalThis.__proto__ === Object.prototype', '__proto__ === Object.prototype']],
  ['proto-null', '({x: 1})', ['globalThis.__proto__ = null; typeof toString', 'x', 'y = 2; y', 'Object.getPrototypeOf(globalThis)']],
  ['proto-object', '({})', ['__proto__ = {p: 1}; typeof p', 'main:Object.getPrototypeOf(sandbox) === Object.prototype']],
  ['proto-own', '({["__proto__"]: 5})', ['__proto__', 'globalThis.__proto__']],
  ['polluted', '({})', ['Object.prototype.polluted = 1; polluted', 'main:({}).polluted', 'delete Object.prototype.polluted; typeof polluted']],
  ['inherits-global', '({x: 1})', ['{ const o = Object.create(globalThis); [o.x, "x" in o, Object.hasOwn(o, "x")] }']],

  // Proxies
  ['proxy', 'new Proxy({x: 1}, {})', ['x', 'x = 2; x', 'y = 3; y', '"x" in globalThis', 'Object.keys(globalThis)', 'delete globalThis.x', 'typeof nothing']],
  ['proxy-get', 'new Proxy({}, {get(t, k) { return typeof k === "string" ? k : undefined; }})', ['hello', 'globalThis.world', 'globalThis[0]', 'typeof Array']],
  ['proxy-get-throws', 'new Proxy({}, {get(t, k) { if (k === "bad") throw new Error("get"); return t[k]; }})', ['bad', 'typeof bad', 'globalThis.bad', 'bad = 1', 'try { bad } catch (e) { e.message }']],
  ['proxy-set', '(globalThis.log = [], new Proxy({}, {set(t, k, v) { log.push(String(k)); t[k] = v; return true; }}))', ['x = 1; x', 'var y = 2; y', 'function f() {} typeof f', 'main:[...new Set(log)].join()']],
  ['proxy-set-throws', 'new Proxy({x: 0}, {set(t, k) { throw new Error("set " + String(k)); }})', ['x = 1', '"use strict"; x = 2', 'y = 3', 'x']],
  ['proxy-set-false', 'new Proxy({x: 0}, {set() { return false; }})', ['x = 1; x', 'y = 1; typeof y']],
  ['proxy-has-throws', 'new Proxy({x: 1}, {has() { throw new Error("has"); }})', ['x', 'typeof x', '"x" in globalThis', 'x = 2; x']],
  ['proxy-descriptor', 'new Proxy({x: 1}, {getOwnPropertyDescriptor(t, k) { return Reflect.getOwnPropertyDescriptor(t, k); }})', ['Object.getOwnPropertyDescriptor(globalThis, "x")', 'Object.getOwnPropertyDescriptor(globalThis, "y")']],
  ['proxy-descriptor-throws', 'new Proxy({x: 1}, {getOwnPropertyDescriptor() { throw new Error("descriptor"); }})', ['Object.getOwnPropertyDescriptor(globalThis, "x")', 'main:0']],
  ['proxy-delete-throws', 'new Proxy({x: 1}, {deleteProperty() { throw new Error("delete"); }})', ['delete globalThis.x', 'delete x', 'x']],
  ['proxy-delete-false', 'new Proxy({x: 1}, {deleteProperty() { return false; }})', ['delete globalThis.x', '"use strict"; delete globalThis.x']],
  ['proxy-define-throws', 'new Proxy({}, {defineProperty() { throw new Error("define"); }})', ['Object.defineProperty(globalThis, "x", {value: 1})', 'x = 1', 'typeof x']],
  ['proxy-own-keys', 'new Proxy({a: 1, 0: 2, [Symbol.for("s")]: 3}, {})', ['Object.getOwnPropertyNames(globalThis).filter((k) => k === "a" || k === "0")', 'Object.getOwnPropertySymbols(globalThis).length']],
  ['proxy-own-keys-throws', 'new Proxy({}, {ownKeys() { throw new Error("keys"); }})', ['Object.keys(globalThis)', 'for (k in globalThis);', 'main:0']],
  ['proxy-revoked', '(globalThis.r = Proxy.revocable({x: 1}, {}), r.proxy)', ['x', 'main:r.revoke()', 'x', 'typeof x', 'x = 1', 'globalThis.x', 'main:globalThis.sandbox = undefined']],
  ['proxy-target-of-global', 'new Proxy({}, {get(t, k) { return k === "self" ? sandbox : undefined; }})', ['self === globalThis']],
];
