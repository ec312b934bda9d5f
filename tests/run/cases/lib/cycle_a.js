exports.loaded = false; const b = require('./cycle_b'); exports.b = b.seen; exports.loaded = true;
