// SPDX-License-Identifier: MIT
class Mine extends Error {}
throw new Mine('k');
