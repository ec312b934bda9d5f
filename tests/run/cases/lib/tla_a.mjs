export default 1; export const order = (globalThis.order ??= []); order.push('a start'); await null; order.push('a end');
