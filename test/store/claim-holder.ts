import { FileClaims } from '../../src/store/file-claims.ts';

// Says `ready`, then for each line on standard input tries once to acquire the claim and says what came of it.
const claims = new FileClaims(process.argv[2] ?? '');
process.stdout.write('ready\n');
for await (const chunk of process.stdin as AsyncIterable<Buffer>) {
  for (let line = 0; line < chunk.toString().split('\n').length - 1; line += 1) {
    const claim = await claims.acquire('fills/a');
    process.stdout.write(claim === undefined ? 'busy\n' : 'held\n');
  }
}
