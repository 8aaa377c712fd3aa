import { createInterface } from 'node:readline';
import { openRoot } from '../../src/tls/root.ts';

// Opens the root of every directory named on standard input and answers with its fingerprint.
console.log('ready');
for await (const dir of createInterface({ input: process.stdin })) {
  try {
    console.log((await openRoot({ dir, permittedDns: ['localhost'], permittedIps: [] })).fingerprint);
  } catch (error) {
    console.log(String(error));
  }
}
