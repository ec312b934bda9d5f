// SPDX-License-Identifier: MIT
'use strict';

console.log('%s is %d', 'a', 1, { b: 2 }, [3], null, undefined);
console.info('info');
console.debug('debug');
console.error('error');
console.warn('warn %o', 'x');
console.group('group');
console.log('inside\ntwo lines');
console.groupEnd();
console.dir({ a: { b: { c: {} } } });
console.assert(true, 'never');
console.assert(false, 'asserted %s', 'x');
console.count();
console.count('x');
console.count();
console.countReset();
console.count();
console.table([{ a: 1, b: 'x' }, { a: 2 }]);
console.log(new Error('e').message, [undefined, , null], { get a() { return 1; } }, class A {}, function b() {}, new Proxy({ x: 1 }, {}));
console.log(require('console') === console, -0, [[[[]]]], 'x'.repeat(5), [1.5, 'a'], new Date(0), /r/g, Symbol.iterator, 10n);
