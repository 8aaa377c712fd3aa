import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { text } from 'node:stream/consumers';
import test from 'ava';
import { CacheFiles } from './files.ts';

const PROGRAM = join(import.meta.dirname, 'beside.ts');

test('of several processes that begin with no index one reads the files, and all know what it found', async (t) => {
  t.timeout(60_000);
  const { root, files } = CacheFiles.make(t);
  for (let image = 0; image < 30; image += 1) {
    const layer = await files.blob('docker.io/library/a', Buffer.from(`${image}`));
    await files.manifest('docker.io/library/a', [layer], `${image}`);
  }
  const args = [PROGRAM, join(root, 'index'), files.directory, join(root, 'claims')];
  const processes = Array.from({ length: 4 }, () =>
    spawn(process.execPath, args, { stdio: ['pipe', 'pipe', 'inherit'] }),
  );
  t.teardown(() => {
    for (const child of processes) child.kill('SIGKILL');
  });
  for (const child of processes) child.stdin.write('begin');
  const known = await Promise.all(processes.map(({ stdout }) => text(stdout)));
  t.deepEqual(known, Array(4).fill('60'));
  using database = new DatabaseSync(join(root, 'index', 'content.sqlite'));
  // It counts from 1.
  t.is(database.prepare('SELECT begun FROM walks').get()?.begun, 2);
});
