export const kind = typeof require; export const file = import.meta.url.split('/').pop();
