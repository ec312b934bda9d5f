// SPDX-License-Identifier: MIT
throw Object.assign(new RangeError('x'), { code: 'E_CODE', nested: { a: [1] } });
