// SPDX-License-Identifier: MIT
process.on('uncaughtException', () => { throw new Error('inner'); });
throw 1;
