// SPDX-License-Identifier: MIT
// From the Russian document, word for word.

import vm from 'node:vm';

const contextifiedObject = vm.createContext({
    secret: 42,
    print: console.log,
});

// Шаг 1
//
// Создайте модуль, построив новый объект `vm.SourceTextModule`. Этот
// разбирает предоставленный исходный текст, выбрасывая `SyntaxError`, если что-то идет не так
// неправильно. По умолчанию модуль создается в верхнем контексте. Но здесь мы.
// указываем `contextifiedObject` в качестве контекста, к которому принадлежит этот модуль.
//
// Здесь мы пытаемся получить экспорт по умолчанию из модуля "foo", и
// поместить его в локальное связывание "secret".

const bar = new vm.SourceTextModule(
    `
  import s from 'foo';
  s;
  print(s);
`,
    { context: contextifiedObject }
);

// Шаг 2
//
// "Свяжите" импортированные зависимости этого модуля с ним.
//
// Предоставленный обратный вызов связывания ("компоновщик") принимает два аргумента:.
// родительский модуль (`bar` в данном случае) и строку, которая является спецификатором
// импортируемого модуля. Ожидается, что обратный вызов вернет модуль, который.
// соответствует предоставленному спецификатору, с определенными требованиями, задокументированными
// в `module.link()`.
//
// Если компоновка не началась для возвращаемого модуля, тот же обратный вызов компоновщика
// обратный вызов будет вызван на возвращаемом Модуле.
//
// Даже Модули верхнего уровня без зависимостей должны быть явно линкованы. При этом
// предоставленный обратный вызов никогда не будет вызван, однако.
//
// Метод link() возвращает Promise, который будет разрешен, когда разрешатся все
// Обещания, возвращенные компоновщиком, разрешатся.
//
// Примечание: Это надуманный пример, так как функция компоновщика создает новый модуль
// модуль "foo" каждый раз, когда она вызывается. В полноценной модульной системе, вероятно, будет использоваться
// кэш, вероятно, будет использоваться, чтобы избежать дублирования модулей.

async function linker(specifier, referencingModule) {
    if (specifier === 'foo') {
        return new vm.SourceTextModule(
            `
      // The "secret" variable refers to the global variable we added to
      // "contextifiedObject" when creating the context.
      export default secret;
    `,
            { context: referencingModule.context }
        );

        // Using `contextifiedObject` instead of `referencingModule.context`
        // here would work as well.
    }
    throw new Error(
        `Unable to resolve dependency: ${specifier}`
    );
}
await bar.link(linker);

// Step 3
//
// Evaluate the Module. The evaluate() method returns a promise which will
// resolve after the module has finished evaluating.

// Prints 42.
await bar.evaluate();
