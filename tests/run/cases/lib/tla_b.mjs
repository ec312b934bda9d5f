import './tla_a.mjs'; globalThis.order.push('b');
