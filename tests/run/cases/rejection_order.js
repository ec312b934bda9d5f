// SPDX-License-Identifier: MIT
'use strict';

process.on('unhandledRejection', (reason, promise) => {
  console.log('unhandled', reason, promise instanceof Promise);
  if (reason === 'late') {
    setTimeout(() => {
      promise.catch(() => console.log('late catch'));
      setTimeout(() => console.log('goes on'), 1);
    }, 1);
  }
});
process.on('rejectionHandled', () => console.log('handled'));
Promise.reject('one');
const soon = Promise.reject('soon');
process.nextTick(() => soon.catch(() => console.log('soon enough')));
Promise.reject('late');
(async () => { throw 'async'; })();
const twice = Promise.reject('inner');
twice.then(() => {});
