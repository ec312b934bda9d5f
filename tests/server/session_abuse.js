'use strict'; module.exports = () => {};
