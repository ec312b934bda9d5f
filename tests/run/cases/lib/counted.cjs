globalThis.counted = (globalThis.counted ?? 0) + 1; exports.first = 1; exports.second = () => 2; module.exports.third = this === exports;
