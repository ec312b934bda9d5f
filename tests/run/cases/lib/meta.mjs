export const here = import.meta.url; export { default as renamed } from './named.mjs';
