// SPDX-License-Identifier: MIT
//
// Calls everything of node:vm with every kind of argument and option, and prints what each call answers: the type of
// a result, or the error's name, code and message. arguments.js compares what Kiln and Node print.
'use strict';

const vm = require('vm');

const context = vm.createContext();
const values = {
  undefined, null: null, true: true, zero: 0, one: 1, negative: -1, fraction: 0.5, nan: NaN, infinity: Infinity,
  minusZero: -0, over32: 2 ** 32, over53: 2 ** 53, bigint: 10n, string: 'text', empty: '', long: 'a'.repeat(40),
  quote: "it's", symbol: Symbol('mine'), function() {}, class: class Foo {}, array: [], object: {}, context,
  buffer: Buffer.from('abc'), arrayBuffer: new ArrayBuffer(4), regexp: /x/, date: new Date(0),
  bare: Object.create(null), instance: new (class Bar {})(),
};

const makeModule = () => new vm.SourceTextModule('1');
const makeScript = () => new vm.Script('1');
const calls = {
  'Script(v)': (v) => new vm.Script(v),
  'Script(code, v)': (v) => new vm.Script('1', v),
  'createScript(v)': (v) => vm.createScript(v),
  'createContext(v)': (v) => vm.createContext(v),
  'createContext({}, v)': (v) => vm.createContext({}, v),
  'isContext(v)': (v) => vm.isContext(v),
  'runInContext(code, v)': (v) => vm.runInContext('1', v),
  'runInContext(code, context, v)': (v) => vm.runInContext('1', context, v),
  'runInNewContext(code, v)': (v) => vm.runInNewContext('1', v),
  'runInNewContext(code, {}, v)': (v) => vm.runInNewContext('1', {}, v),
  'runInThisContext(code, v)': (v) => vm.runInThisContext('1', v),
  'script.runInContext(v)': (v) => makeScript().runInContext(v),
  'script.runInContext(context, v)': (v) => makeScript().runInContext(context, v),
  'script.runInThisContext(v)': (v) => makeScript().runInThisContext(v),
  'script.runInNewContext(v)': (v) => makeScript().runInNewContext(v),
  'script.runInNewContext({}, v)': (v) => makeScript().runInNewContext({}, v),
  'compileFunction(v)': (v) => vm.compileFunction(v),
  'compileFunction(code, v)': (v) => vm.compileFunction('1', v),
  'compileFunction(code, [a, v])': (v) => vm.compileFunction('1', ['a', v]),
  'compileFunction(code, [], v)': (v) => vm.compileFunction('1', [], v),
  'contextExtensions: [v]': (v) => vm.compileFunction('1', [], { contextExtensions: [v] }),
  'SourceTextModule(v)': (v) => new vm.SourceTextModule(v),
  'SourceTextModule(code, v)': (v) => new vm.SourceTextModule('1', v),
  'SyntheticModule(v)': (v) => new vm.SyntheticModule(v, () => {}),
  'SyntheticModule([a, v])': (v) => new vm.SyntheticModule(['a', v], () => {}),
  'SyntheticModule([], v)': (v) => new vm.SyntheticModule([], v),
  'SyntheticModule([], f, v)': (v) => new vm.SyntheticModule([], () => {}, v),
  'setExport(v)': (v) => new vm.SyntheticModule(['a'], () => {}).setExport(v, 1),
  'linkRequests(v)': (v) => new vm.SourceTextModule('import "x"').linkRequests(v),
  'linkRequests([v])': (v) => new vm.SourceTextModule('import "x"').linkRequests([v]),
  'measureMemory(v)': (v) => vm.measureMemory(v),
  'link(v)': (v) => makeModule().link(v),
  'link(() => v)': (v) => new vm.SourceTextModule('import "x"').link(() => v),
  'evaluate(v)': async (v) => {
    const linked = makeModule();
    await linked.link(() => {});
    return linked.evaluate(v);
  },
};

function options(title, names, call) {
  for (const name of names) calls[`${title} ${name}`] = (v) => call({ [name]: v });
}
const scriptOptions = ['filename', 'lineOffset', 'columnOffset', 'cachedData', 'produceCachedData', 'importModuleDynamically'];
const runOptions = ['timeout', 'displayErrors', 'breakOnSigint'];
options('Script', scriptOptions, (o) => new vm.Script('1', o));
options('runInThisContext', [...scriptOptions, ...runOptions], (o) => vm.runInThisContext('1', o));
options('runInContext', [...scriptOptions, ...runOptions], (o) => vm.runInContext('1', context, o));
options('script.runInContext', runOptions, (o) => makeScript().runInContext(context, o));
options('createContext', ['name', 'origin', 'codeGeneration', 'microtaskMode', 'importModuleDynamically'], (o) => vm.createContext({}, o));
options('codeGeneration', ['strings', 'wasm'], (o) => vm.createContext({}, { codeGeneration: o }));
options('runInNewContext', ['contextName', 'contextOrigin', 'contextCodeGeneration', 'microtaskMode'], (o) => vm.runInNewContext('1', {}, o));
options('contextCodeGeneration', ['strings', 'wasm'], (o) => vm.runInNewContext('1', {}, { contextCodeGeneration: o }));
options('compileFunction', [...scriptOptions, 'parsingContext', 'contextExtensions'], (o) => vm.compileFunction('1', [], o));
options('SourceTextModule', ['identifier', 'context', 'lineOffset', 'columnOffset', 'cachedData', 'initializeImportMeta', 'importModuleDynamically'],
        (o) => new vm.SourceTextModule('1', o));
options('SyntheticModule', ['identifier', 'context'], (o) => new vm.SyntheticModule([], () => {}, o));
options('measureMemory', ['mode', 'execution'], (o) => vm.measureMemory(o));
options('evaluate', ['timeout', 'breakOnSigint'], calls['evaluate(v)']);

// What Node aborts at, and what may end within its millisecond or not.
const skipped = [
  /^compileFunction\(code, \[a, v\]\) (string|empty|long|quote)$/, /^contextExtensions: \[v\] null$/, /timeout one$/,
];

(async () => {
  for (const [call, make] of Object.entries(calls)) {
    for (const [kind, value] of Object.entries(values)) {
      if (skipped.some((pattern) => pattern.test(`${call} ${kind}`))) continue;
      let answer;
      try {
        let result = make(value);
        if (typeof result?.then === 'function' && !call.startsWith('measureMemory')) result = await result;
        answer = typeof result;
      } catch (error) {
        // The words of a SyntaxError are V8's.
        answer = error.name === 'SyntaxError' ? error.name : `${error.name} ${error.code} ${error.message}`;
      }
      console.log(`${call} | ${kind} | ${answer.replace('[byteLength]', 'byteLength')}`);
    }
  }
})();
