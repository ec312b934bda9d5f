// SPDX-License-Identifier: MIT
// expect
const { url, filename, dirname, resolve } = import.meta;
console.log(url === `file://${filename}`, filename.slice(dirname.length));
console.log(resolve('./lib/named.mjs') === `file://${dirname}/lib/named.mjs`, resolve('fs'));
const again = await import('./lib/meta.mjs?x=1#y');
console.log(again.here.slice(-12), process.argv[1] === filename);
