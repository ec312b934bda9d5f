// SPDX-License-Identifier: MIT
const error = new Error('x');
error.stack = 'made up';
throw error;
