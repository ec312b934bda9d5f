// SPDX-License-Identifier: MIT
'use strict';

module.exports = {
  EOL: '\n',
  endianness: () => 'LE',
  homedir: () => process.env.HOME ?? '/',
  platform: () => 'linux',
  tmpdir: () => (process.env.TMPDIR || '/tmp').replace(/(.)\/$/, '$1'),
  type: () => 'Linux',
};
