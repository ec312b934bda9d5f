// SPDX-License-Identifier: MIT
// flags: --no-warnings
// args: one --two=3
'use strict';

const assert = require('assert');
console.log(process.argv.slice(2), process.execArgv.filter((word) => word !== '--no-store'), process.argv[1] === __filename, typeof process.argv[0]);
console.log(process.env.TEST_VALUE, process.env.NONE, 'TEST_VALUE' in process.env, delete process.env.TEST_VALUE, process.env.TEST_VALUE);
process.env.NUMBER = 5;
console.log(process.env.NUMBER, Object.keys(process.env).includes('NUMBER'));
console.log(process.platform, process.arch, process.pid > 0, process.cwd() === __dirname, process.exitCode);
console.log(typeof process.hrtime.bigint(), process.hrtime().length, process.hrtime(process.hrtime())[0], process.uptime() > 0);
console.log(Object.keys(process.memoryUsage()), process.memoryUsage().heapUsed > 1e5);
console.log(Object.prototype.toString.call(process), require('process') === process, process instanceof require('events'));
assert.throws(() => process.kill(process.pid, 'SIGNONE'), { code: 'ERR_UNKNOWN_SIGNAL' });
assert.throws(() => process.chdir('/none/at/all'), { code: 'ENOENT' });
process.chdir('/');
console.log(process.cwd());
process.stdout.write('no newline, ');
process.stdout.write(Buffer.from('bytes\n'));
process.stdout.write('callback\n', () => console.log('called'));
process.stderr.write('to stderr\n');
process.on('warning', (warning) => console.log(warning.name, warning.message, warning.code));
process.emitWarning('careful');
process.emitWarning('old', 'DeprecationWarning', 'DEP0');
process.emitWarning('options', { type: 'Mine', code: 'M1' });
process.once('custom', (...args) => console.log('custom', args));
console.log(process.emit('custom', 1, 2), process.emit('custom', 3), process.listenerCount('warning') > 0);
