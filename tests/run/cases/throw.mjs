// SPDX-License-Identifier: MIT
console.log('before');
process.on('exit', (code) => console.log('exit', code));
throw new Error('of a module');
