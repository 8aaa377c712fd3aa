import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import test from 'ava';
import { noDisks } from '../pull/disk.ts';
import { directoryOf } from '../store/directory.ts';

interface Outcome {
  readonly notices: readonly string[];
  readonly sizes: readonly number[];
  readonly left: readonly string[];
}

test('an index whose disk is full goes on in memory, says so once and leaves nothing there', async (t) => {
  const reason = noDisks();
  if (reason !== undefined) {
    t.log(`skipped: ${reason}`);
    t.pass();
    return;
  }
  const program = join(import.meta.dirname, 'small-disk.ts');
  const args = ['-m', process.execPath, '--disable-warning=ExperimentalWarning', program, directoryOf(t)];
  const { stdout } = await promisify(execFile)('unshare', args, { timeout: 50_000 });
  const { notices, sizes, left } = JSON.parse(stdout) as Outcome;
  t.deepEqual(notices, ['the index failed and is made anew, in memory']);
  t.deepEqual(left, []);
  t.is((sizes[1] ?? 0) - (sizes[0] ?? 0), 100, sizes.join(' '));
});
