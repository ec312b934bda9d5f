export let count = 1;
export default function f() {}
export const add = () => { count++; };
import * as self from './named.mjs';
export { self };
