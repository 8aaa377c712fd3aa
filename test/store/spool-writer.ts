import { setTimeout as sleep } from 'node:timers/promises';
import { digestOf } from '../../src/oci/digest.ts';
import { Spool } from '../../src/store/spool.ts';

// Fills a spool file until it is killed; says after each checkpoint how long the saved prefix is.
const BLOCK = 4096;
const file = await new Spool(process.argv[2] ?? '').open(digestOf(Buffer.from('never complete')));
for (let block = 0; ; block += 1) {
  await file.write(Buffer.alloc(BLOCK, block % 251), block * BLOCK);
  if (block % 7 !== 0) continue;
  await file.checkpoint();
  process.stdout.write(`${(block + 1) * BLOCK}\n`);
  await sleep(2);
}
