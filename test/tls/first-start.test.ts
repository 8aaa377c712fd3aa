import { spawn } from 'node:child_process';
import { mkdir, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import test from 'ava';
import { openRoot } from '../../src/tls/root.ts';
import { temporaryDirectory } from './fixture.ts';

const program = fileURLToPath(new URL('first-start.ts', import.meta.url));

test('eight processes that start at once make one root, in every one of 25 rounds', async (t) => {
  const base = await temporaryDirectory(t);
  const processes = Array.from({ length: 8 }, () => {
    const child = spawn(process.execPath, [program], { stdio: ['pipe', 'pipe', 'inherit'] });
    t.teardown(() => child.kill());
    const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
    return { child, line: async () => String((await lines.next()).value) };
  });
  for (const { line } of processes) t.is(await line(), 'ready');
  for (let round = 0; round < 25; round++) {
    const dir = join(base, `${round}`);
    // Every other round starts in a directory that is there and open to others.
    if (round % 2 === 0) await mkdir(dir, { mode: 0o755 });
    for (const { child } of processes) child.stdin.write(`${dir}\n`);
    const answers = await Promise.all(processes.map(({ line }) => line()));
    const { fingerprint } = await openRoot({ dir, permittedDns: ['localhost'], permittedIps: [] });
    t.deepEqual(answers, new Array(8).fill(fingerprint));
    t.deepEqual((await readdir(dir)).sort(), ['ca.crt', 'ca.key'], 'and nothing is left over');
  }
});
