// SPDX-License-Identifier: MIT
const empty = new Uint8Array([0, 97, 115, 109, 1, 0, 0, 0]);
(async () => {
  console.log(await WebAssembly.compile(empty) instanceof WebAssembly.Module);
  console.log(Object.keys(await WebAssembly.instantiate(empty)));
  console.log(await WebAssembly.compile(new Uint8Array([1])).catch((error) => error.name));
  console.log(new WebAssembly.Instance(new WebAssembly.Module(empty)).exports);
})();
