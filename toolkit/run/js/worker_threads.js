// SPDX-License-Identifier: MIT
//
// worker_threads: there are none.
'use strict';

module.exports = { isMainThread: true, parentPort: null, threadId: 0, workerData: null, resourceLimits: {} };
