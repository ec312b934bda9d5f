export const value = 1;
export const self = import('./asks_itself.mjs').then((ns) => ns.value);
