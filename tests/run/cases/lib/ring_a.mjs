import { b } from './ring_b.mjs'; export function a() { return 'a' + b(1); } export const ready = typeof b;
