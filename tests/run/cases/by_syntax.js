// SPDX-License-Identifier: MIT
// expect
import { count } from './lib/named.mjs';
console.log('a module by its syntax', count, this);
export {};
