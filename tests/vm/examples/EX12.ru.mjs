// SPDX-License-Identifier: MIT
// From the Russian document, word for word.
// Added: what the document takes for granted.
import vm from 'vm';

// Создаем начальный модуль
const module = new vm.SourceTextModule('const a = 1;');

// Создаем кэшированные данные из этого модуля
const cachedData = module.createCachedData();

// Создайте новый модуль, используя кэшированные данные. Код должен быть одинаковым.
const module2 = new vm.SourceTextModule('const a = 1;', {
    cachedData,
});

// Added: shows what the document says.
console.log(module2 instanceof vm.SourceTextModule, cachedData.length > 0);
