// SPDX-License-Identifier: MIT
// Running: runInContext, runInNewContext, runInThisContext of scripts and of vm itself, their options.
'use strict';
const assert = require('assert');
const vm = require('vm');
const { test, throws, not, rejects, evaluated } = require('./harness.js');

// Every way to run code, so that what all have in common is tested of all.
const run = {
  'script.runInContext': (code, options) => new vm.Script(code, names(options)).runInContext(vm.createContext(), options),
  'script.runInNewContext': (code, options) => new vm.Script(code, names(options)).runInNewContext({}, options),
  'script.runInThisContext': (code, options) => new vm.Script(code, names(options)).runInThisContext(options),
  'vm.runInContext': (code, options) => vm.runInContext(code, vm.createContext(), options),
  'vm.runInNewContext': (code, options) => vm.runInNewContext(code, {}, options),
  'vm.runInThisContext': (code, options) => vm.runInThisContext(code, options),
};
const names = (options) => (options && options.filename ? { filename: options.filename } : undefined);
const each = (check) => Object.keys(run).forEach((way) => check(run[way], way));

test('RC01 RN01 RT01', 'the value of the last statement is returned', () => {
  each((go, way) => {
    assert.strictEqual(go('1; 2; 40 + 2'), 42, way);
    assert.strictEqual(go('var unused = 1;'), undefined, way);
    assert.strictEqual(go('if (true) { "then" } else { "else" }'), 'then', way);
    assert.strictEqual(go(''), undefined, way);
  });
});

test('RC02 VR02', 'what createContext() has not made is refused', () => {
  const script = new vm.Script('1');
  for (const bad of [{}, [], () => {}, undefined, null, 1, 'text', globalThis]) {
    throws(() => script.runInContext(bad), { code: 'ERR_INVALID_ARG_TYPE', name: 'TypeError' });
    throws(() => vm.runInContext('1', bad), { code: 'ERR_INVALID_ARG_TYPE', name: 'TypeError' });
  }
  throws(() => vm.runInContext('1', {}), { message: /"contextifiedObject" argument must be an vm\.Context/ });
});

test('RC03 G05 RT02', 'running code sees no local variables, nor changes them', () => {
  const rc03local = 'mine';
  each((go, way) => assert.strictEqual(go('typeof rc03local'), 'undefined', way));
  run['vm.runInNewContext']('rc03local = 1');
  each((go) => go('{ let rc03local = 5; }'));
  assert.strictEqual(rc03local, 'mine');
});

test('RC04', 'displayErrors shows where a compile error is', () => {
  for (const go of [run['vm.runInContext'], run['vm.runInNewContext'], run['vm.runInThisContext']]) {
    const { stack } = throws(() => go('\n  var 5;', { filename: 'rc04.js' }), { name: 'SyntaxError' });
    assert.match(stack, /^rc04\.js:2\n {2}var 5;\n {6}\^\n\nSyntaxError: /);
  }
});

test('RC04 RN10 RT04', 'displayErrors false runs the same and throws the same', () => {
  each((go, way) => {
    assert.strictEqual(go('6 * 7', { displayErrors: false }), 42, way);
    throws(() => go('throw new TypeError("own")', { displayErrors: false }), { name: 'TypeError', message: 'own' });
    throws(() => go('throw new TypeError("own")', { displayErrors: true }), { name: 'TypeError', message: 'own' });
  });
});

test('RC04 RC06 RC07 RN10', 'options of the wrong type are refused by every way to run', () => {
  each((go) => {
    for (const key of ['displayErrors', 'breakOnSigint']) {
      for (const bad of not('undefined', 'boolean')) throws(() => go('1', { [key]: bad }), 'ERR_INVALID_ARG_TYPE');
    }
    for (const bad of not('undefined', 'number')) throws(() => go('1', { timeout: bad }), 'ERR_INVALID_ARG_TYPE');
    for (const bad of [0, -1, NaN, 1.5, Infinity, 2 ** 32]) {
      throws(() => go('1', { timeout: bad }), { code: 'ERR_OUT_OF_RANGE', name: 'RangeError' });
    }
    assert.strictEqual(go('6 * 7', { timeout: 2 ** 32 - 1 }), 42);
    assert.strictEqual(go('6 * 7', { breakOnSigint: true }), 42);
    assert.strictEqual(go('6 * 7', { breakOnSigint: true, timeout: 5000 }), 42);
  });
});

test('RC04', 'options that are no object are refused', () => {
  const script = new vm.Script('1');
  for (const bad of [null, 1, 'text', true]) {
    throws(() => script.runInThisContext(bad), 'ERR_INVALID_ARG_TYPE');
    throws(() => script.runInContext(vm.createContext(), bad), 'ERR_INVALID_ARG_TYPE');
    throws(() => script.runInNewContext({}, bad), 'ERR_INVALID_ARG_TYPE');
  }
  for (const bad of [null, 1, true, Symbol('s')]) throws(() => vm.runInThisContext('1', bad), 'ERR_INVALID_ARG_TYPE');
});

test('RC12', 'the globals that a script changes ten times are those of the object', () => {
  const context = { animal: 'cat', count: 2 };
  const script = new vm.Script('count += 1; name = "kitty";');
  vm.createContext(context);
  for (let i = 0; i < 10; ++i) script.runInContext(context);
  assert.deepStrictEqual(context, { animal: 'cat', count: 12, name: 'kitty' });
});

test('RN01', 'runInNewContext() contextifies the object it is given, or a new one', () => {
  const object = { x: 2 };
  assert.strictEqual(new vm.Script('x += 40').runInNewContext(object), 42);
  assert.strictEqual(object.x, 42);
  assert.ok(vm.isContext(object));
  assert.strictEqual(new vm.Script('typeof x').runInNewContext(), 'undefined');
  assert.strictEqual(new vm.Script('typeof x').runInNewContext(undefined, {}), 'undefined');
});

test('RN04 CC09', 'codeGeneration.strings false: eval and the function constructors throw EvalError', () => {
  const makers = ['eval("1")', 'Function("return 1")', 'new Function("return 1")', '(function* () {}).constructor("")',
    '(async () => {}).constructor("")', '(async function* () {}).constructor("")', '(0, eval)("1")'];
  for (const maker of makers) {
    const code = `try { ${maker}; "made" } catch (error) { error.name + (error instanceof EvalError) }`;
    const refused = { contextCodeGeneration: { strings: false } };
    assert.strictEqual(new vm.Script(code).runInNewContext({}, refused), 'EvalErrortrue', maker);
    assert.strictEqual(vm.runInNewContext(code, {}, refused), 'EvalErrortrue', maker);
    const context = vm.createContext({}, { codeGeneration: { strings: false } });
    assert.strictEqual(vm.runInContext(code, context), 'EvalErrortrue', maker);
    for (const contextCodeGeneration of [undefined, {}, { strings: true }, { wasm: false }]) {
      assert.strictEqual(vm.runInNewContext(code, {}, { contextCodeGeneration }), 'made', maker);
    }
  }
});

// Node refuses it, the specification does not: no code is generated.
test('D21', 'eval() of what is no string gives it back', { ours: 'Node refuses that, too' }, () => {
  const context = vm.createContext({}, { codeGeneration: { strings: false } });
  assert.strictEqual(vm.runInContext('eval(5)', context), 5);
  throws(() => vm.runInContext('eval("5")', context), { name: 'EvalError' });
});

test('RN05 CC09', 'codeGeneration.wasm false: compiling WebAssembly throws CompileError', async () => {
  const header = 'new Uint8Array([0, 0x61, 0x73, 0x6d, 1, 0, 0, 0])';
  const code = `try { new WebAssembly.Module(${header}); "made" } catch (error) { error instanceof WebAssembly.CompileError }`;
  const wasm = { wasm: false };
  assert.strictEqual(vm.runInNewContext(code, {}, { contextCodeGeneration: wasm }), true);
  assert.strictEqual(vm.runInContext(code, vm.createContext({}, { codeGeneration: wasm })), true);
  for (const codeGeneration of [undefined, {}, { wasm: true }, { strings: false }]) {
    assert.strictEqual(vm.runInContext(code, vm.createContext({}, { codeGeneration })), 'made');
  }
  const refusing = vm.createContext({}, { codeGeneration: wasm });
  await rejects(vm.runInContext(`WebAssembly.compile(${header})`, refusing), { name: 'CompileError' });
  await rejects(vm.runInContext(`WebAssembly.instantiate(${header})`, refusing), { name: 'CompileError' });
  assert.strictEqual(vm.runInContext(`WebAssembly.validate(${header})`, refusing), true);
});

test('RN07', 'microtaskMode is "afterEvaluate" or undefined', () => {
  for (const bad of ['beforeEvaluate', '', null, 1, true, {}]) {
    const want = { code: typeof bad === 'string' ? 'ERR_INVALID_ARG_VALUE' : /^ERR_INVALID_ARG_(TYPE|VALUE)$/, name: 'TypeError' };
    throws(() => vm.runInNewContext('1', {}, { microtaskMode: bad }), want);
    throws(() => new vm.Script('1').runInNewContext({}, { microtaskMode: bad }), want);
    throws(() => vm.createContext({}, { microtaskMode: bad }), want);
  }
  assert.strictEqual(vm.runInNewContext('1', {}, { microtaskMode: undefined }), 1);
});

test('RN02 RN03 RN08', 'names, origins and codeGeneration of the wrong type are refused', () => {
  const refused = (options) => {
    throws(() => vm.runInNewContext('1', {}, options), { code: 'ERR_INVALID_ARG_TYPE', name: 'TypeError' });
    throws(() => new vm.Script('1').runInNewContext({}, options), { code: 'ERR_INVALID_ARG_TYPE', name: 'TypeError' });
  };
  for (const bad of not('undefined', 'string')) {
    refused({ contextName: bad });
    refused({ contextOrigin: bad });
  }
  for (const bad of [null, 1, 'text', true]) refused({ contextCodeGeneration: bad });
  for (const bad of not('undefined', 'boolean')) {
    refused({ contextCodeGeneration: { strings: bad } });
    refused({ contextCodeGeneration: { wasm: bad } });
  }
  const good = { contextName: 'mine', contextOrigin: 'http://localhost:8080', contextCodeGeneration: {} };
  assert.strictEqual(vm.runInNewContext('6 * 7', {}, good), 42);
});

test('RN09', 'the globals are set on each object of its own', () => {
  const script = new vm.Script('globalVar = "set"');
  const contexts = [{}, {}, {}];
  contexts.forEach((context) => script.runInNewContext(context));
  assert.deepStrictEqual(contexts, [{ globalVar: 'set' }, { globalVar: 'set' }, { globalVar: 'set' }]);
});

test('RT02', 'runInThisContext() has the current global', () => {
  globalThis.rt02 = 41;
  assert.strictEqual(new vm.Script('rt02 += 1; globalThis').runInThisContext(), globalThis);
  assert.strictEqual(globalThis.rt02, 42);
  delete globalThis.rt02;
  assert.strictEqual(vm.runInThisContext('typeof rt02'), 'undefined');
});

test('RT03', 'a thousand runs count to a thousand', () => {
  globalThis.rt03 = 0;
  const script = new vm.Script('rt03 += 1', { filename: 'myfile.vm' });
  for (let i = 0; i < 1000; ++i) script.runInThisContext();
  assert.strictEqual(globalThis.rt03, 1000);
});

test('RT04 VR05 TM04', 'runInThisContext() does not take microtaskMode', () => {
  globalThis.rt04 = [];
  const code = 'Promise.resolve().then(() => rt04.push("micro")); rt04.push("sync")';
  vm.runInThisContext(code, { microtaskMode: 'afterEvaluate' });
  new vm.Script(code).runInThisContext({ microtaskMode: 'afterEvaluate' });
  assert.deepStrictEqual(globalThis.rt04, ['sync', 'sync']);
});

test('VR01 VR03 VR05', 'options are those of Script and of running; a string is the filename', async () => {
  const table = [run['vm.runInContext'], run['vm.runInNewContext'], run['vm.runInThisContext']];
  const answer = await evaluated('export default 42');
  for (const go of table) {
    assert.match(throws(() => go('throw new Error("x")', 'vr01.js'), {}).stack, /at vr01\.js:1:7/);
    const options = { filename: 'vr01.js', lineOffset: 9, columnOffset: 100, timeout: 5000, displayErrors: true };
    assert.match(throws(() => go('throw new Error("x")', options), {}).stack, /at vr01\.js:10:107/);
    throws(() => go('1', { lineOffset: 'bad' }), 'ERR_INVALID_ARG_TYPE');
    assert.strictEqual(go('6 * 7', { cachedData: Buffer.from('garbage, which is no error') }), 42);
    const namespace = await go('import("x")', { importModuleDynamically: () => answer });
    assert.strictEqual(namespace.default, 42);
    await rejects(go('import("x")'), 'ERR_VM_DYNAMIC_IMPORT_CALLBACK_MISSING');
  }
});

test('VR04', 'vm.runInNewContext() takes every option of contexts', () => {
  const log = [];
  const options = {
    filename: 'vr04.js', lineOffset: 1, columnOffset: 2, displayErrors: true, timeout: 5000, breakOnSigint: true,
    contextName: 'vr04', contextOrigin: 'http://vr04.example', contextCodeGeneration: { strings: false, wasm: false },
    microtaskMode: 'afterEvaluate', produceCachedData: true,
  };
  const code = 'Promise.resolve().then(() => log("micro")); log("sync"); try { eval("1") } catch (error) { error.name }';
  assert.strictEqual(vm.runInNewContext(code, { log: (line) => log.push(line) }, options), 'EvalError');
  assert.deepStrictEqual(log, ['sync', 'micro']);
});

test('VR06', 'vm.runInThisContext() is like an indirect eval', () => {
  const local = 'local';
  assert.strictEqual(vm.runInThisContext('typeof local'), (0, eval)('typeof local'));
  assert.strictEqual(local, 'local');
  vm.runInThisContext('var vr06 = 1');
  (0, eval)('var vr06eval = 1');
  assert.strictEqual(globalThis.vr06 + globalThis.vr06eval, 2);
  // A script's var is not deletable, an eval's is.
  assert.strictEqual(Object.getOwnPropertyDescriptor(globalThis, 'vr06').configurable, false);
  assert.strictEqual(Object.getOwnPropertyDescriptor(globalThis, 'vr06eval').configurable, true);
});

test('VR07', 'null as contextObject is refused', () => {
  throws(() => vm.runInNewContext('1', null), { code: 'ERR_INVALID_ARG_TYPE', name: 'TypeError' });
  throws(() => new vm.Script('1').runInNewContext(null), { code: 'ERR_INVALID_ARG_TYPE', name: 'TypeError' });
  for (const bad of [1, 'text', true]) throws(() => vm.runInNewContext('1', bad), 'ERR_INVALID_ARG_TYPE');
});

test('VR08 N38', 'the vm.runIn* functions accept produceCachedData, and refuse one that is no boolean', () => {
  const table = [run['vm.runInContext'], run['vm.runInNewContext'], run['vm.runInThisContext']];
  for (const go of table) {
    assert.strictEqual(go('6 * 7', { produceCachedData: true }), 42);
    throws(() => go('1', { produceCachedData: 'yes' }), 'ERR_INVALID_ARG_TYPE');
    throws(() => go('1', { cachedData: 'text' }), 'ERR_INVALID_ARG_TYPE');
  }
});

test('N35', 'runInNewContext() is Script, createContext() and runInContext()', () => {
  const code = 'x += 1; var y = typeof globalThis; y';
  const [a, b] = [{ x: 1 }, { x: 1 }];
  const short = vm.runInNewContext(code, a, { filename: 'n35.js' });
  const long = new vm.Script(code, { filename: 'n35.js' }).runInContext(vm.createContext(b));
  assert.strictEqual(short, long);
  assert.deepStrictEqual(a, b);
});

test('D03', 'the value of a block is undefined, that of a parenthesized literal the object', () => {
  const context = vm.createContext();
  assert.strictEqual(vm.runInContext('{}', context), undefined);
  assert.strictEqual(typeof vm.runInContext('({})', context), 'object');
});

test('P36', 'what is thrown, whatever it is, is thrown as it is', () => {
  const thrown = [undefined, null, 5, 'text', Symbol.iterator, globalThis];
  each((go, way) => {
    for (const value of thrown) {
      globalThis.p36 = value;
      const context = vm.createContext({ p36: value });
      let caught = 'nothing';
      try {
        vm.runInContext('throw p36', context);
      } catch (error) {
        caught = error;
      }
      assert.strictEqual(caught, value, way);
    }
  });
});
