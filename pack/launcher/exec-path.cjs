// What starts Node is the loader, and Node takes that for itself: processes of its own have to come by the launcher.
process.execPath = require('node:path').join(__dirname, 'node');
