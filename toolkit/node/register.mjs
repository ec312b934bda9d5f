// SPDX-License-Identifier: MIT
//
// For node --import kiln/register: the same as --require, and that it happens once.
import { createRequire } from 'node:module';

createRequire(import.meta.url)('./register.js');
