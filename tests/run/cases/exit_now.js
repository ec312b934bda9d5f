// SPDX-License-Identifier: MIT
process.on('exit', (code) => {
  console.log('exit', code);
  process.exit();
});
try {
  process.exit(5);
} finally {
  console.log('never');
}
