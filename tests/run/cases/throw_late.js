// SPDX-License-Identifier: MIT
setTimeout(() => {
  null.x;
}, 1);
