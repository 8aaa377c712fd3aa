// What starts Node is the loader, and Node takes that for itself: processes of its own have to come by the launcher, which
// brings this file again.
process.execPath = require('node:path').join(__dirname, 'node');
process.execArgv.splice(process.execArgv.indexOf(__filename) - 1, 2);
