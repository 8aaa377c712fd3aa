import { execFile } from 'node:child_process';
import { chmodSync, existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import test from 'ava';
import { openLayout } from '../../src/store/layout.ts';
import { directoryOf } from './directory.ts';

test('a data directory is made with nothing in it but its version and its secret', async (t) => {
  const root = join(directoryOf(t), 'deep', 'data');
  const layout = await openLayout(root);
  t.deepEqual(readdirSync(root).sort(), ['grants.key', 'layout.json']);
  t.deepEqual(JSON.parse(readFileSync(join(root, 'layout.json'), 'utf8')), { version: 1 });
  t.is(statSync(root).mode & 0o777, 0o700);
  t.is(statSync(join(root, 'grants.key')).mode & 0o777, 0o600);
  t.is(layout.cache, join(root, 'cache'));
  t.false(existsSync(layout.hosted));
});

test('the secret stays the same', async (t) => {
  const root = directoryOf(t);
  const first = (await openLayout(root)).grantsKey;
  t.is(first.length, 32);
  t.deepEqual((await openLayout(root)).grantsKey, first);
  t.notDeepEqual((await openLayout(directoryOf(t))).grantsKey, first);
});

test('processes that start at once share one secret', async (t) => {
  const root = join(directoryOf(t), 'data');
  const opener = join(import.meta.dirname, 'layout-opener.ts');
  const run = promisify(execFile);
  const runs = Array.from({ length: 4 }, () => run(process.execPath, [opener, root]));
  const openings = Array.from({ length: 10 }, () => openLayout(root));
  const keys = new Set((await Promise.all(runs)).map(({ stdout }) => stdout));
  for (const { grantsKey } of await Promise.all(openings)) keys.add(Buffer.from(grantsKey).toString('hex'));
  t.is(keys.size, 1);
  t.is([...keys][0]?.length, 64);
  t.deepEqual(readdirSync(root).sort(), ['grants.key', 'layout.json']);
});

test('what a newer version has written is refused and left alone', async (t) => {
  const root = directoryOf(t);
  writeFileSync(join(root, 'layout.json'), '{"version":2}');
  await t.throwsAsync(openLayout(root), { message: /newer version of Layover \(layout 2, this one knows 1\)/ });
  t.deepEqual(readdirSync(root), ['layout.json']);
});

test('a layout file that names no version is refused', async (t) => {
  for (const content of ['', '{}', '{"version":"1"}', '{"version":0}', '[1]']) {
    const root = directoryOf(t);
    writeFileSync(join(root, 'layout.json'), content);
    await t.throwsAsync(openLayout(root), { message: /does not name the version/ }, content);
  }
});

test('a secret that others can read, or that is cut short, is refused with what to do', async (t) => {
  const root = directoryOf(t);
  await openLayout(root);
  const path = join(root, 'grants.key');
  chmodSync(path, 0o644);
  await t.throwsAsync(openLayout(root), { message: /chmod 600/ });
  chmodSync(path, 0o600);
  writeFileSync(path, 'short');
  await t.throwsAsync(openLayout(root), { message: /remove it/ });
});
