// SPDX-License-Identifier: MIT
// From the Russian document, word for word.
// Repair D02: the document does not give the module its context, and so ends with a ReferenceError.
// Repair D03, in the comment: the document has '{}', a block, where it means '({})'.

import vm from 'node:vm';

const contextifiedObject = vm.createContext({ secret: 42 });

const module = new vm.SourceTextModule(
    'Object.getPrototypeOf(import.meta.prop).secret = secret;',
    {
        context: contextifiedObject,
        initializeImportMeta(meta) {
            // Примечание: этот объект создается в верхнем контексте. Как таковой,
            // Object.getPrototypeOf(import.meta.prop) указывает на
            // Object.prototype в верхнем контексте, а не на прототип в
            // контекстифицированном объекте.
            meta.prop = {};
        },
    }
);
// Поскольку модуль не имеет зависимостей, функция linker никогда не будет вызвана.
await module.link(() => {});
await module.evaluate();

// Теперь Object.prototype.secret будет равен 42.
//
// Чтобы исправить эту проблему, замените
// meta.prop = {};
// выше на
// meta.prop = vm.runInContext('({})', contextifiedObject);

// Added: shows what the document says.
console.log({}.secret);
