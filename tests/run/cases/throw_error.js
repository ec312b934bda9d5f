// SPDX-License-Identifier: MIT
'use strict';

console.log('before');
process.on('exit', (code) => console.log('exit', code, process.exitCode));
function inner() {
	throw new TypeError('bad');
}
setTimeout(() => console.log('never'), 1);
inner();
