import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readdir, readFile, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { inPieces, openLineWriter } from '../../src/telemetry/line-writer.ts';

const PROGRAM = join(import.meta.dirname, 'line-writer-process.ts');

async function directory(t: { teardown(remove: () => Promise<void>): void }): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'layover-log-'));
  t.teardown(() => rm(path, { recursive: true }));
  return path;
}

test('several processes rotate one log by its size and lose, tear and double no line', async (t) => {
  t.timeout(60_000);
  const folder = await directory(t);
  const file = join(folder, 'access.log');
  const [count, maxSize, keep] = [400, 8_000, 300];
  const names = ['a', 'b', 'c'];
  const ends = names.map(async (name) => {
    const args = [PROGRAM, file, name, count, maxSize, keep].map(String);
    const child = spawn(process.execPath, args, { stdio: 'inherit' });
    t.teardown(() => child.kill('SIGKILL'));
    return once(child, 'exit');
  });
  t.deepEqual(await Promise.all(ends), Array(3).fill([0, null]));
  const files = await readdir(folder);
  const texts = await Promise.all(files.map((name) => readFile(join(folder, name), 'utf8')));
  const lines = texts.flatMap((text) => text.trimEnd().split('\n'));
  t.true(lines.every((line) => /^[abc]-\d+ x+ end$/.test(line)));
  const found = lines.map((line) => line.split(' ')[0]).toSorted();
  t.true(files.length > 10, `${files.length} files`);
  const written = names.flatMap((name) => Array.from({ length: count }, (_, index) => `${name}-${index}`));
  t.deepEqual(found, written.toSorted());
});

test('what a process left that died while it rotated is in the way for ten seconds only', async (t) => {
  const file = join(await directory(t), 'access.log');
  await writeFile(file, 'x'.repeat(500));
  const lock = `${file}.rotating`;
  await mkdir(lock);
  const first = openLineWriter(file, { maxSize: 100, keep: 1 });
  first.write('first\n');
  await first.close();
  t.is(await readFile(file, 'utf8'), `${'x'.repeat(500)}first\n`);

  const before = new Date(Date.now() - 11_000);
  await utimes(lock, before, before);
  const second = openLineWriter(file, { maxSize: 100, keep: 1 });
  second.write('second\n');
  await second.close();
  t.is(await readFile(file, 'utf8'), 'second\n');
});

test('lines for a pipe that others write to go in pieces that reach it whole', (t) => {
  const line = `${'x'.repeat(1500)}\n`;
  const long = `${'y'.repeat(9000)}\n`;
  t.deepEqual(inPieces(line.repeat(5)), [line.repeat(2), line.repeat(2), line]);
  t.deepEqual(inPieces(`${line}${long}${line}`), [line, long, line]);
  t.deepEqual(inPieces(''), []);
});
