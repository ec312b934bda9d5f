// SPDX-License-Identifier: MIT
//
// url: file URLs, and no URL class.
'use strict';

const { codedError, nodeError, validateString } = require('internal/errors');

class URL {
  constructor(input, base) {
    let href = `${input}`;
    if (!/^[a-z][a-z0-9+.-]*:/i.test(href) && base !== undefined) {
      const from = new URL(base);
      if (from.protocol === 'file:') {
        const path = href.startsWith('/') ? href : `${from.pathname.slice(0, from.pathname.lastIndexOf('/'))}/${href}`;
        const [, name, tail] = /^([^?#]*)(.*)$/s.exec(path);
        href = `file://${require('internal/loader').normalize(name)}${name.endsWith('/') && name !== '/' ? '/' : ''}${tail}`;
      }
    }
    const parts = /^([a-z][a-z0-9+.-]*:)(?:\/\/([^/?#]*))?([^?#]*)(\?[^#]*)?(#.*)?$/is.exec(href);
    if (!parts) throw Object.assign(codedError(TypeError, 'ERR_INVALID_URL', 'Invalid URL'), { input: `${input}` });
    const [, protocol, host = '', pathname, search = '', hash = ''] = parts;
    Object.assign(this, { href, protocol: protocol.toLowerCase(), host, hostname: host.replace(/:\d*$/, ''), pathname,
      search, hash });
  }

  toString() {
    return this.href;
  }

  toJSON() {
    return this.href;
  }
}

function fileURLToPath(url) {
  if (typeof url === 'string') url = new URL(url);
  if (typeof url?.href !== 'string') throw nodeError('ERR_INVALID_ARG_TYPE', 'path', ['string', 'URL'], url);
  if (url.protocol !== 'file:') {
    throw codedError(TypeError, 'ERR_INVALID_URL_SCHEME', 'The URL must be of scheme file');
  }
  if (url.host !== '' && url.host !== 'localhost') {
    throw codedError(TypeError, 'ERR_INVALID_FILE_URL_HOST', 'File URL host must be "localhost" or empty on linux');
  }
  return decodeURIComponent(url.pathname);
}

function pathToFileURL(path) {
  validateString(path, 'path');
  const { toUrl } = require('internal/modules');
  const full = require('path').resolve(path);
  return new URL(toUrl(path.endsWith('/') && full !== '/' ? `${full}/` : full));
}

module.exports = { URL, fileURLToPath, pathToFileURL };
