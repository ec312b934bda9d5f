// SPDX-License-Identifier: MIT
// From the English documents, word for word.
// In the Russian document the newline in 'Hello World\n' is not escaped within the template, a SyntaxError.

'use strict';
const vm = require('vm');

const code = `
((require) => {
  const http = require('http');

  http.createServer((request, response) => {
    response.writeHead(200, { 'Content-Type': 'text/plain' });
    response.end('Hello World\\n');
  }).listen(8124);

  console.log('Server running at http://127.0.0.1:8124/');
})`;

vm.runInThisContext(code)(require);
