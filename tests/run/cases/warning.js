// SPDX-License-Identifier: MIT
process.emitWarning('to stderr');
process.emitWarning('coded', 'MyWarning', 'C1');
