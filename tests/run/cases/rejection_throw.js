// SPDX-License-Identifier: MIT
// flags: --unhandled-rejections=throw
'use strict';

process.on('exit', (code) => console.log('exit', code));
setTimeout(() => console.log('reached'), 1);
Promise.reject(new Error('nobody'));
