import { a } from './ring_a.mjs'; export function b(stop) { return stop ? 'b' : a(); }
