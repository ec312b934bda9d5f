// SPDX-License-Identifier: MIT
// Imported by newest.test.js. Counts how often it is evaluated.
globalThis.n11 = (globalThis.n11 || 0) + 1;
export default globalThis.n11;
