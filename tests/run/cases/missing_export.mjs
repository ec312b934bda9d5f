// SPDX-License-Identifier: MIT
import { nothing } from './lib/named.mjs';
console.log(nothing);
