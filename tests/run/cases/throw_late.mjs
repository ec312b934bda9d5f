// SPDX-License-Identifier: MIT
await new Promise((resolve) => setTimeout(resolve, 1));
throw new Error('after an await');
