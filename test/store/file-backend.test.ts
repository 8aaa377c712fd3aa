import { existsSync, linkSync, readdirSync, statSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'ava';
import { FileBackend } from '../../src/store/file-backend.ts';
import { backendConformance } from './conformance.ts';
import { directoryOf } from './directory.ts';

backendConformance('file', (t) => new FileBackend(join(directoryOf(t), 'made', 'root')));

const modeOf = (path: string): number => statSync(path).mode & 0o777;

test('files are readable by their owner alone, directories too', async (t) => {
  const root = join(directoryOf(t), 'root');
  const backend = new FileBackend(root);
  const spooled = join(directoryOf(t), 'spooled');
  writeFileSync(spooled, 'x', { mode: 0o644 });
  await backend.put('a/b', Buffer.from('x'));
  await backend.adopt('c/d', spooled);
  for (const path of ['', 'a', 'c', '.tmp']) t.is(modeOf(join(root, path)), 0o700, path);
  for (const path of ['a/b', 'c/d']) t.is(modeOf(join(root, path)), 0o600, path);
});

test('nothing temporary is left or listed', async (t) => {
  const root = directoryOf(t);
  const backend = new FileBackend(root);
  await backend.put('a', Buffer.from('x'));
  await backend.put('a', Buffer.from('x'), { condition: { ifAbsent: true } });
  await backend.put('a', Buffer.from('x'), { condition: { ifMatch: 'other' } });
  t.deepEqual(readdirSync(join(root, '.tmp')), []);
  writeFileSync(join(root, '.tmp', 'left'), 'x');
  writeFileSync(join(root, '.DS_Store'), 'x');
  t.deepEqual(await backend.list(''), ['a']);
});

test('what a crashed process left is swept once it is old', async (t) => {
  const root = directoryOf(t);
  const backend = new FileBackend(root);
  await backend.put('a', Buffer.from('x'));
  for (const name of ['old.tmp', 'new.tmp']) writeFileSync(join(root, '.tmp', name), 'x');
  utimesSync(join(root, '.tmp', 'old.tmp'), 1000, 1000);
  t.is(await backend.sweep(new Date(Date.now() - 60_000)), 1);
  t.deepEqual(readdirSync(join(root, '.tmp')), ['new.tmp']);
});

test('no two puts have the same time, so that an inode used again is no danger', async (t) => {
  const root = directoryOf(t);
  const backend = new FileBackend(root);
  const keys = Array.from({ length: 50 }, (_, index) => `k${index}`);
  await Promise.all(keys.map((key) => backend.put(key, Buffer.from('x'))));
  const times = new Set(keys.map((key) => statSync(join(root, key), { bigint: true }).mtimeNs));
  t.is(times.size, 50);
});

test('the adopted file is the spooled one, not a copy, on one file system', async (t) => {
  const directory = directoryOf(t);
  const backend = new FileBackend(join(directory, 'root'));
  const path = join(directory, 'spooled');
  writeFileSync(path, 'x');
  const { ino } = statSync(path);
  await backend.adopt('a', path);
  t.is(statSync(join(directory, 'root', 'a')).ino, ino);
});

const otherFileSystem = '/dev/shm';

test('a file on another file system is copied when adopted', async (t) => {
  const directory = directoryOf(t);
  if (!existsSync(otherFileSystem) || statSync(otherFileSystem).dev === statSync(directory).dev) {
    t.pass('there is one file system only');
    return;
  }
  const path = join(directoryOf(t, otherFileSystem), 'spooled');
  writeFileSync(path, 'payload', { mode: 0o644 });
  const backend = new FileBackend(directory);
  await backend.adopt('a/b', path);
  t.is(Buffer.from((await backend.get('a/b'))?.bytes ?? []).toString(), 'payload');
  t.is(modeOf(join(directory, 'a/b')), 0o600);
  t.false(existsSync(path));
  t.deepEqual(readdirSync(join(directory, '.tmp')), []);
});

test('removing the whole directory under a running backend breaks nothing that follows', async (t) => {
  const directory = directoryOf(t);
  const root = join(directory, 'root');
  const backend = new FileBackend(root);
  await backend.put('a/b', Buffer.from('x'), { durable: true });
  await rm(root, { recursive: true });
  t.is(await backend.get('a/b'), undefined);
  t.true(await backend.put('a/b', Buffer.from('y'), { durable: true, condition: { ifAbsent: true } }));
  await rm(root, { recursive: true });
  writeFileSync(join(directory, 'spooled'), 'z');
  await backend.adopt('c/d', join(directory, 'spooled'));
  t.deepEqual(await backend.list(''), ['c/d']);
});

test('writes succeed while somebody removes the directory again and again', async (t) => {
  const root = join(directoryOf(t), 'root');
  const backend = new FileBackend(root);
  let removing = true;
  const remover = (async () => {
    while (removing) {
      await rm(root, { recursive: true, force: true }).catch(() => {});
      await new Promise((resolve) => setTimeout(resolve, 25));
    }
  })();
  for (let round = 0; round < 60; round += 1) await backend.put(`a/${round}/c`, Buffer.from('x'));
  removing = false;
  await remover;
  t.true(await backend.put('b', Buffer.from('x')));
});

test('a symbolic link in the place of an object is not followed', async (t) => {
  const root = directoryOf(t);
  const outside = join(directoryOf(t), 'secret');
  writeFileSync(outside, 'secret');
  symlinkSync(outside, join(root, 'a'));
  const backend = new FileBackend(root);
  await t.throwsAsync(backend.get('a'), { code: 'ELOOP' });
  t.is(await backend.stat('a'), undefined);
  t.deepEqual(await backend.list(''), []);
});

test('a root behind a symbolic link works', async (t) => {
  const directory = directoryOf(t);
  await mkdir(join(directory, 'disk'));
  symlinkSync(join(directory, 'disk'), join(directory, 'root'));
  const backend = new FileBackend(join(directory, 'root'));
  await backend.put('a/b', Buffer.from('x'), { durable: true });
  t.deepEqual(await backend.list(''), ['a/b']);
});

test('a read under way when the object is closed still ends, and later ones are refused', async (t) => {
  const backend = new FileBackend(directoryOf(t));
  await backend.put('a', Buffer.alloc(1_000_000, 'x'));
  const object = await backend.open('a');
  const buffer = Buffer.alloc(1_000_000);
  const reading = object?.read(buffer, 0);
  const closing = object?.[Symbol.asyncDispose]();
  t.is(await reading, 1_000_000);
  await closing;
  await t.throwsAsync(async () => object?.read(buffer, 0), { message: /closed/ });
  await object?.[Symbol.asyncDispose]();
});

test('a file with a second name elsewhere is read like any other', async (t) => {
  const root = directoryOf(t);
  const backend = new FileBackend(root);
  await backend.put('a', Buffer.from('x'));
  linkSync(join(root, 'a'), join(root, 'b'));
  await backend.remove('a');
  t.is((await backend.get('b'))?.bytes.length, 1);
});
