// SPDX-License-Identifier: MIT
// expect
try {
  process.exit('abc');
} catch (error) {
  console.log(error.code);
}
