import { openLayout } from '../../src/store/layout.ts';

process.stdout.write(Buffer.from((await openLayout(process.argv[2] ?? '')).grantsKey).toString('hex'));
