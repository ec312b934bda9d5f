exports.name = 'folder'; exports.parent = module.parent && require('path').basename(module.parent.filename);
