// SPDX-License-Identifier: MIT
async function f() {
  await null;
  throw new Error('of an async function');
}
f();
