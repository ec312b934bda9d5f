// SPDX-License-Identifier: MIT
Promise.reject(3);
