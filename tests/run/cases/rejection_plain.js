// SPDX-License-Identifier: MIT
Promise.reject({ a: 1 });
