// SPDX-License-Identifier: MIT
// From the English documents, word for word.
// Added: what the document takes for granted.
import vm from 'vm';

// Create an initial module
const module = new vm.SourceTextModule('const a = 1;');

// Create cached data from this module
const cachedData = module.createCachedData();

// Create a new module using the cached data. The code must be the same.
const module2 = new vm.SourceTextModule('const a = 1;', { cachedData });

// Added: shows what the document says.
console.log(module2 instanceof vm.SourceTextModule, cachedData.length > 0);
