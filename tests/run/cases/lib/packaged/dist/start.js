module.exports = 'packaged';
