// SPDX-License-Identifier: MIT
//
// path, of POSIX.
'use strict';

const { validateObject, validateString } = require('internal/errors');

function normalizeParts(path, absolute) {
  const parts = [];
  for (const part of path.split('/')) {
    if (part === '' || part === '.') continue;
    if (part !== '..') parts.push(part);
    else if (parts.length > 0 && parts[parts.length - 1] !== '..') parts.pop();
    else if (!absolute) parts.push('..');
  }
  return parts.join('/');
}

function normalize(path) {
  validateString(path, 'path');
  if (path === '') return '.';
  const absolute = path.startsWith('/');
  let result = normalizeParts(path, absolute);
  if (result === '' && !absolute) result = '.';
  if (result !== '' && path.endsWith('/')) result += '/';
  return absolute ? `/${result}` : result;
}

function join(...parts) {
  for (const part of parts) validateString(part, 'path');
  const joined = parts.filter((part) => part !== '').join('/');
  return joined === '' ? '.' : normalize(joined);
}

function resolve(...parts) {
  let path = '';
  for (let i = parts.length - 1; i >= 0 && !path.startsWith('/'); i--) {
    validateString(parts[i], `paths[${i}]`);
    if (parts[i] !== '') path = path === '' ? parts[i] : `${parts[i]}/${path}`;
  }
  if (!path.startsWith('/')) path = `${internalBinding('process').cwd()}/${path}`;
  return `/${normalizeParts(path, true)}`;
}

function dirname(path) {
  validateString(path, 'path');
  const trimmed = path.replace(/\/+$/, '');
  const slash = trimmed.lastIndexOf('/');
  if (slash < 0) return path.startsWith('/') ? '/' : '.';
  return trimmed.slice(0, slash) || '/';
}

function basename(path, suffix) {
  validateString(path, 'path');
  if (suffix !== undefined) validateString(suffix, 'ext');
  if (suffix === path && path !== '') return '';
  const trimmed = path.replace(/\/+$/, '');
  const name = trimmed.slice(trimmed.lastIndexOf('/') + 1);
  return suffix && name !== suffix && name.endsWith(suffix) ? name.slice(0, -suffix.length) : name;
}

function extname(path) {
  const name = basename(path);
  const dot = name.lastIndexOf('.');
  return dot <= 0 || /^\.+$/.test(name) && name.length === 2 ? '' : name.slice(dot);
}

function relative(from, to) {
  validateString(from, 'from');
  validateString(to, 'to');
  const a = resolve(from).split('/').filter(Boolean);
  const b = resolve(to).split('/').filter(Boolean);
  let i = 0;
  while (i < a.length && i < b.length && a[i] === b[i]) i++;
  return [...a.slice(i).fill('..'), ...b.slice(i)].join('/');
}

function parse(path) {
  validateString(path, 'path');
  const base = basename(path);
  const ext = extname(path);
  const root = path.startsWith('/') ? '/' : '';
  const dir = /\/+[^/]/.test(path) || root ? dirname(path) : '';
  return { root, dir, base, ext, name: ext ? base.slice(0, -ext.length) : base };
}

function format(object) {
  validateObject(object, 'pathObject');
  const dir = object.dir || object.root;
  const base = object.base || `${object.name || ''}${object.ext || ''}`;
  if (!dir) return base;
  return dir === object.root ? `${dir}${base}` : `${dir}/${base}`;
}

const posix = {
  basename, dirname, extname, format, join, normalize, parse, relative, resolve,
  isAbsolute(path) {
    validateString(path, 'path');
    return path.startsWith('/');
  },
  toNamespacedPath: (path) => path,
  sep: '/',
  delimiter: ':',
};
posix.posix = posix;

module.exports = posix;
