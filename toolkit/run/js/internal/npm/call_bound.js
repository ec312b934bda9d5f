// SPDX-License-Identifier: MIT
//
// What npm's assert gets for call-bind/callBound, which it asks for one method.
'use strict';

const methods = { 'RegExp.prototype.test': RegExp.prototype.test };

module.exports = (name) => Function.prototype.call.bind(methods[name]);
