// SPDX-License-Identifier: MIT
// From the Russian document, word for word.
// EX16 and EX17 are one example.

const vm = require('node:vm');
// Измерьте память, используемую основным контекстом.
vm.measureMemory({ mode: 'summary' })
    // Это то же самое, что и vm.measureMemory()
    .then((result) => {
        // Текущий формат:
        // {
        // итого: {
        // jsMemoryEstimate: 2418479, jsMemoryRange: [ 2418479, 2745799 ]
        // }
        // }
        console.log(result);
    });

const context = vm.createContext({ a: 1 });
vm.measureMemory({
    mode: 'detailed',
    execution: 'eager',
}).then((result) => {
    // Ссылаемся на контекст здесь, чтобы он не был GC'ed
    // пока измерение не будет завершено.
    console.log(context.a);
    // {
    // итого: {
    // jsMemoryEstimate: 2574732,
    // jsMemoryRange: [ 2574732, 2904372 ]
    // },
    // текущий: {
    // jsMemoryEstimate: 2438996,
    // jsMemoryRange: [ 2438996, 2768636 ]
    // },
    // other: [
    // {
    // jsMemoryEstimate: 135736,
    // jsMemoryRange: [ 135736, 465376 ]
    // }
    // ]
    // }
    console.log(result);
});
