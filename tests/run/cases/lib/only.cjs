module.exports = class Only {};
