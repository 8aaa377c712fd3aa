import { activateNextRoot, makeNextRoot } from '../../src/tls/root.ts';

// Makes the next root of a directory and switches to it, over and over, until it is killed.
const dir = process.argv[2] ?? '';
console.log('ready');
for (;;) {
  await makeNextRoot({ dir, permittedDns: ['localhost'], permittedIps: [] });
  await activateNextRoot(dir);
}
