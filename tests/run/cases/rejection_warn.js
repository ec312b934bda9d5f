// SPDX-License-Identifier: MIT
// stderr: off
// flags: --unhandled-rejections=warn
'use strict';

process.on('exit', (code) => console.log('exit', code));
setTimeout(() => console.log('reached'), 1);
Promise.reject(new Error('nobody'));
