// SPDX-License-Identifier: MIT
'use strict';

process.on('uncaughtException', (error, origin) => {
  console.log('taken', error.message, origin);
  process.exitCode = 4;
});
setTimeout(() => console.log('goes on'), 1);
Promise.reject(new Error('rejected'));
throw new Error('thrown');
