// SPDX-License-Identifier: MIT
// From the document on sharing promises, word for word.
// Repair D04: the document defines inner_context and uses context.
// Added: what the document takes for granted.
import * as vm from 'node:vm';

const inner_context = vm.createContext({}, { microtaskMode: 'afterEvaluate' });

// runInContext() returns a Promise created in the inner context.
const inner_promise = vm.runInContext(
'Promise.resolve()',
 inner_context,
);

// Schedule `runInContext()` to manually drain the inner context microtask
// queue; it will run after the `await` statement below.
setImmediate(() => {
vm.runInContext('', inner_context);
});

await inner_promise;

console.log('OK');
