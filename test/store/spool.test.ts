import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { linkSync, readdirSync, readFileSync, statSync, truncateSync, utimesSync, writeFileSync } from 'node:fs';
import { open, rm } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'ava';
import fc from 'fast-check';
import { type Digest, digestOf } from '../../src/oci/digest.ts';
import { FileBackend } from '../../src/store/file-backend.ts';
import { Spool } from '../../src/store/spool.ts';
import { directoryOf } from './directory.ts';

const pathOf = (directory: string, digest: Digest, suffix: string): string =>
  join(directory, `${digest.replace(':', '-')}.${suffix}`);

test('a file that comes in order is hashed on the way and finished durably', async (t) => {
  const directory = directoryOf(t);
  const bytes = randomBytes(300_000);
  const digest = digestOf(bytes);
  await using file = await new Spool(join(directory, 'spool')).open(digest);
  file.size = bytes.length;
  for (let at = 0; at < bytes.length; at += 100_000) {
    t.is(file.verifiedPrefix, at);
    await file.write(bytes.subarray(at, at + 100_000), at);
  }
  t.true(file.complete);
  t.is(file.digest(), digest);
  const path = await file.finish();
  t.true(readFileSync(path).equals(bytes));
  t.is(statSync(path).mode & 0o777, 0o600);
  const backend = new FileBackend(join(directory, 'cache'));
  await backend.adopt('a', path);
  t.deepEqual(readdirSync(join(directory, 'spool')), []);
  const buffer = Buffer.alloc(10);
  t.is(await file.read(buffer, 5), 10, 'followers go on reading');
  t.deepEqual(buffer, bytes.subarray(5, 15));
});

test('pieces in any order and with overlaps make the same file', async (t) => {
  const directory = directoryOf(t);
  const spool = new Spool(directory);
  const bytes = randomBytes(5000);
  const digest = digestOf(bytes, 'sha512');
  const cuts = fc.uniqueArray(fc.integer({ min: 1, max: bytes.length - 1 }), { maxLength: 12 });
  await fc.assert(
    fc.asyncProperty(cuts, fc.infiniteStream(fc.nat(400)), fc.boolean(), async (positions, overlaps, together) => {
      const file = await spool.open(digest);
      const edges = [0, ...positions];
      const pieces = edges.map((start) => {
        const next = Math.min(bytes.length, ...edges.filter((edge) => edge > start));
        return { start, end: Math.min(bytes.length, next + (overlaps.next().value ?? 0)) };
      });
      const write = ({ start, end }: { start: number; end: number }): Promise<void> =>
        file.write(bytes.subarray(start, end), start);
      const shuffled = pieces.sort((a, b) => ((a.start * 7919) % 101) - ((b.start * 7919) % 101));
      if (together) await Promise.all(shuffled.map(write));
      else for (const piece of shuffled) await write(piece);
      file.size = bytes.length;
      await file.hashPrefix();
      t.is(file.digest(), digest);
      t.true(readFileSync(pathOf(directory, digest, 'part')).equals(bytes));
      await file.discard();
      await file.close();
    }),
    { numRuns: 40 },
  );
});

test('bytes that are there are never overwritten', async (t) => {
  const spool = new Spool(directoryOf(t));
  await using file = await spool.open(digestOf(Buffer.from('right bytes')));
  await file.write(Buffer.from('right'), 0);
  await file.write(Buffer.from('wrong bytes'), 0);
  file.size = 11;
  t.is(file.digest(), file.expected);
});

test('readers get what is there and never a hole', async (t) => {
  await using file = await new Spool(directoryOf(t)).open(digestOf(Buffer.from('x')));
  await file.write(Buffer.from('abc'), 10);
  await file.write(Buffer.from('def'), 15);
  const buffer = Buffer.alloc(8);
  t.is(await file.read(buffer, 0), 0);
  t.is(await file.read(buffer, 11), 2);
  t.is(buffer.subarray(0, 2).toString(), 'bc');
  t.is(await file.read(buffer, 13), 0);
});

test('the size is said once and holds', async (t) => {
  await using file = await new Spool(directoryOf(t)).open(digestOf(Buffer.from('x')));
  await file.write(Buffer.from('abc'), 0);
  t.throws(() => {
    file.size = 2;
  });
  file.size = 4;
  file.size = 4;
  t.throws(() => {
    file.size = 5;
  });
  await t.throwsAsync(file.write(Buffer.from('abc'), 2), { instanceOf: RangeError });
  t.throws(() => file.digest(), { message: /3 of 4 bytes/ });
  await t.throwsAsync(file.finish());
});

test('a file with the wrong digest is not finished', async (t) => {
  await using file = await new Spool(directoryOf(t)).open(digestOf(Buffer.from('right')));
  await file.write(Buffer.from('wrong'), 0);
  file.size = 5;
  await t.throwsAsync(file.finish(), { message: /expected sha256/ });
});

test('an empty object can be finished', async (t) => {
  await using file = await new Spool(directoryOf(t)).open(digestOf(new Uint8Array()));
  file.size = 0;
  t.is(statSync(await file.finish()).size, 0);
});

test('a finished file takes no more bytes', async (t) => {
  await using file = await new Spool(directoryOf(t)).open(digestOf(Buffer.from('x')));
  await file.write(Buffer.from('x'), 0);
  file.size = 1;
  await file.finish();
  await t.throwsAsync(file.write(Buffer.from('y'), 0), { message: /finished/ });
});

test('what was checkpointed is there after a restart', async (t) => {
  const directory = directoryOf(t);
  const bytes = randomBytes(3_000_000);
  const digest = digestOf(bytes);
  const first = await new Spool(directory).open(digest);
  first.size = bytes.length;
  await first.write(bytes.subarray(0, 2_000_000), 0);
  await first.write(bytes.subarray(2_500_000, 2_600_000), 2_500_000);
  await first.checkpoint();
  await first.write(bytes.subarray(2_600_000), 2_600_000);
  await first.close();
  await using again = await new Spool(directory).open(digest);
  t.deepEqual(again.extents.toJSON(), [
    [0, 2_000_000],
    [2_500_000, 2_600_000],
  ]);
  t.is(again.size, bytes.length);
  t.is(again.verifiedPrefix, 2_000_000);
  await again.write(bytes.subarray(2_000_000), 2_000_000);
  t.true(readFileSync(await again.finish()).equals(bytes));
});

test('what others were told of goes on as it is, also where nothing was checkpointed', async (t) => {
  for (const checkpointed of [0, 10_000]) {
    const directory = directoryOf(t);
    const bytes = randomBytes(100_000);
    const digest = digestOf(bytes);
    await using first = await new Spool(directory).open(digest);
    first.size = bytes.length;
    await first.write(bytes.subarray(0, 10_000), 0);
    if (checkpointed > 0) await first.checkpoint();
    await first.write(bytes.subarray(10_000, 60_000), 10_000);
    await using again = await new Spool(directory).open(digest, 60_000);
    t.is(again.inode, first.inode);
    t.deepEqual(again.extents.toJSON(), [[0, 60_000]]);
    t.is(again.verifiedPrefix, 60_000);
    again.size = bytes.length;
    await again.write(Buffer.alloc(60_000), 0);
    await again.write(bytes.subarray(60_000), 60_000);
    t.true(readFileSync(await again.finish()).equals(bytes));
  }
});

test('who lost the claim writes nothing, and leaves the names of the file alone', async (t) => {
  const directory = directoryOf(t);
  const bytes = randomBytes(1000);
  const digest = digestOf(bytes);
  const spool = new Spool(directory);
  const lost = await spool.open(digest);
  lost.size = bytes.length;
  await lost.write(bytes.subarray(0, 500), 0);
  await lost.checkpoint();
  lost.isHeld = () => false;
  await using next = await spool.open(digest);
  t.is(next.inode, lost.inode);
  await t.throwsAsync(lost.write(Buffer.alloc(500), 500), { message: /another process/ });
  await next.write(bytes.subarray(500), 500);
  await next.checkpoint();
  const saved = readFileSync(join(directory, `sha256-${digest.slice(7)}.json`));
  await lost.checkpoint();
  await t.throwsAsync(lost.finish());
  await lost.discard();
  await lost.close();
  t.true(readFileSync(join(directory, `sha256-${digest.slice(7)}.json`)).equals(saved));
  t.true(readFileSync(await next.finish()).equals(bytes));
});

test('a view shows what it was told of, and how its file ended', async (t) => {
  const directory = directoryOf(t);
  const bytes = randomBytes(1000);
  const digest = digestOf(bytes);
  for (const isRight of [true, false]) {
    await using file = await new Spool(directory).open(digest);
    file.size = bytes.length;
    await file.write(bytes, 0);
    await using view = await new Spool(directory).view(digest);
    if (view === undefined) return t.fail();
    t.is(await view.read(new Uint8Array(1000), 0), 0);
    view.told(600);
    const buffer = Buffer.alloc(1000);
    t.is(await view.read(buffer, 0), 600);
    t.true(buffer.subarray(0, 600).equals(bytes.subarray(0, 600)));
    t.false(await view.isFinishedElsewhere());
    if (isRight) await file.finish();
    else await file.discard();
    t.is(await view.isFinishedElsewhere(), isRight);
  }
  t.is(await new Spool(directory).view(digest), undefined);
});

test('a file is parked by closing it, and can be opened again at once', async (t) => {
  const spool = new Spool(directoryOf(t));
  const digest = digestOf(Buffer.from('abc'));
  const file = await spool.open(digest);
  await file.write(Buffer.from('ab'), 0);
  file.checkpoint().catch(() => {});
  const closing = file.close();
  await using again = await spool.open(digest);
  await closing;
  t.is(again.extents.prefix(), 2);
});

test('one process has a digest open once', async (t) => {
  const spool = new Spool(directoryOf(t));
  const digest = digestOf(Buffer.from('abc'));
  const opened = await Promise.allSettled([spool.open(digest), spool.open(digest), spool.open(digest)]);
  t.deepEqual(opened.map(({ status }) => status).sort(), ['fulfilled', 'rejected', 'rejected']);
  for (const one of opened) if (one.status === 'fulfilled') await one.value.close();
  await (await spool.open(digest)).close();
});

test('damage on disk makes a parked file start from nothing', async (t) => {
  const bytes = randomBytes(5000);
  const digest = digestOf(bytes);
  const damages: Record<string, (part: string, sidecar: string) => Promise<void> | void> = {
    'a changed byte': async (part) => {
      await using handle = await open(part, 'r+');
      await handle.write(Buffer.from([(bytes[100] ?? 0) ^ 1]), 0, 1, 100);
    },
    'a torn sidecar': (_, sidecar) => truncateSync(sidecar, 20),
    'an empty sidecar': (_, sidecar) => truncateSync(sidecar, 0),
    'no sidecar': (_, sidecar) => rm(sidecar),
    'no file': (part) => rm(part),
    'the sidecar of another digest': (_, sidecar) => {
      const other = digestOf(Buffer.from('other'));
      writeFileSync(sidecar, readFileSync(sidecar, 'utf8').replace(digest, other));
    },
  };
  for (const [name, damage] of Object.entries(damages)) {
    const directory = directoryOf(t);
    const first = await new Spool(directory).open(digest);
    await first.write(bytes, 0);
    await first.checkpoint();
    await first.close();
    await damage(pathOf(directory, digest, 'part'), pathOf(directory, digest, 'json'));
    await using again = await new Spool(directory).open(digest);
    t.is(again.extents.bytes, 0, name);
    await again.write(bytes, 0);
    again.size = bytes.length;
    t.true(readFileSync(await again.finish()).equals(bytes), name);
  }
});

test('extents are clipped to what is really on disk', async (t) => {
  const directory = directoryOf(t);
  const bytes = randomBytes(5000);
  const digest = digestOf(bytes);
  const first = await new Spool(directory).open(digest);
  await first.write(bytes.subarray(0, 1000), 0);
  await first.write(bytes.subarray(2000, 4000), 2000);
  await first.checkpoint();
  await first.close();
  truncateSync(pathOf(directory, digest, 'part'), 2500);
  await using again = await new Spool(directory).open(digest);
  t.deepEqual(again.extents.toJSON(), [
    [0, 1000],
    [2000, 2500],
  ]);
});

test('bytes beyond the end that an earlier process left are not published', async (t) => {
  const directory = directoryOf(t);
  const digest = digestOf(Buffer.from('abc'));
  const first = await new Spool(directory).open(digest);
  await first.write(Buffer.from('ab'), 0);
  await first.checkpoint();
  await first.write(Buffer.from('cdefgh'), 2);
  await first.close();
  await using again = await new Spool(directory).open(digest);
  again.size = 3;
  await again.write(Buffer.from('c'), 2);
  t.is(readFileSync(await again.finish(), 'utf8'), 'abc');
});

test('committed content that still has its name in the spool after a crash is left alone', async (t) => {
  const directory = directoryOf(t);
  const digest = digestOf(Buffer.from('abc'));
  const first = await new Spool(directory).open(digest);
  await first.write(Buffer.from('abc'), 0);
  await first.checkpoint();
  await first.close();
  linkSync(pathOf(directory, digest, 'part'), join(directory, 'committed'));
  await using again = await new Spool(directory).open(digest);
  t.is(again.extents.bytes, 0);
  await again.write(Buffer.from('xyz'), 0);
  t.is(readFileSync(join(directory, 'committed'), 'utf8'), 'abc');
});

test('concurrent checkpoints share their work, and the last state is saved', async (t) => {
  const directory = directoryOf(t);
  const digest = digestOf(Buffer.from('x'));
  await using file = await new Spool(directory).open(digest);
  const saved = new Set<Promise<void>>();
  for (let at = 0; at < 50; at += 1) {
    await file.write(Buffer.from('x'), at);
    for (let call = 0; call < 20; call += 1) saved.add(file.checkpoint());
  }
  await Promise.all(saved);
  t.true(saved.size <= 51);
  t.deepEqual(JSON.parse(readFileSync(pathOf(directory, digest, 'json'), 'utf8')).extents, [[0, 50]]);
  t.deepEqual(
    readdirSync(directory).filter((name) => name.endsWith('.tmp')),
    [],
  );
});

test('a discarded file stays readable until it is closed, and its digest is free', async (t) => {
  const directory = directoryOf(t);
  const spool = new Spool(directory);
  const digest = digestOf(Buffer.from('abc'));
  const file = await spool.open(digest);
  await file.write(Buffer.from('abc'), 0);
  const checkpoint = file.checkpoint();
  await file.discard();
  await checkpoint;
  t.deepEqual(readdirSync(directory), []);
  await using next = await spool.open(digest);
  t.is(next.extents.bytes, 0);
  t.is(await file.read(Buffer.alloc(3), 0), 3);
  await file.discard();
  await file.checkpoint();
  t.deepEqual(readdirSync(directory), [`${digest.replace(':', '-')}.part`], 'the next one is left alone');
  await file.close();
  await t.throwsAsync(file.read(Buffer.alloc(3), 0), { message: /closed/ });
});

test('removing the spool under an open file costs that file, not the next one', async (t) => {
  const directory = join(directoryOf(t), 'spool');
  const spool = new Spool(directory);
  const digest = digestOf(Buffer.from('abc'));
  const file = await spool.open(digest);
  await file.write(Buffer.from('ab'), 0);
  await rm(directory, { recursive: true });
  await file.checkpoint();
  await using next = await spool.open(digest);
  await file.write(Buffer.from('c'), 2);
  t.is(await file.read(Buffer.alloc(3), 0), 3);
  file.size = 3;
  await t.throwsAsync(file.finish(), { message: /removed/ });
  await file.discard();
  await file.close();
  await next.write(Buffer.from('abc'), 0);
  next.size = 3;
  t.is(readFileSync(await next.finish(), 'utf8'), 'abc');
});

test('the spool lists what lies in it and sweeps what crashed processes left', async (t) => {
  const directory = directoryOf(t);
  const spool = new Spool(directory);
  const [parked, orphan, fresh] = ['parked', 'orphan', 'fresh'].map((name) => digestOf(Buffer.from(name))) as [
    Digest,
    Digest,
    Digest,
  ];
  for (const digest of [parked, orphan, fresh]) {
    const file = await spool.open(digest);
    await file.write(Buffer.alloc(8192), 0);
    if (digest === parked) await file.checkpoint();
    await file.close();
  }
  writeFileSync(join(directory, 'left.tmp'), 'x');
  writeFileSync(join(directory, 'unrelated'), 'x');
  for (const path of [
    ...[parked, orphan].map((digest) => pathOf(directory, digest, 'part')),
    join(directory, 'left.tmp'),
  ]) {
    utimesSync(path, 1000, 1000);
  }
  t.deepEqual((await spool.list()).map(({ digest }) => digest).sort(), [parked, orphan, fresh].sort());
  t.is(await spool.sweep(new Date(Date.now() - 60_000)), 2);
  t.deepEqual((await spool.list()).map(({ digest }) => digest).sort(), [parked, fresh].sort());
  t.true(readdirSync(directory).includes('unrelated'));
});

test('a listed file says how many bytes it takes and when it was written', async (t) => {
  const spool = new Spool(join(directoryOf(t), 'spool'));
  t.deepEqual(await spool.list(), []);
  t.is(await spool.sweep(new Date()), 0);
  await using file = await spool.open(digestOf(Buffer.from('x')));
  await file.write(Buffer.alloc(8192), 1_000_000_000);
  const [listed] = await spool.list();
  t.true(listed !== undefined && listed.bytes > 0 && listed.bytes < 1_000_000);
  t.true(Math.abs((listed?.modified.getTime() ?? 0) - Date.now()) < 60_000);
});

test('what is no digest never becomes a path', async (t) => {
  const spool = new Spool(directoryOf(t));
  for (const bad of ['sha256:../../x', 'sha256:AB', 'md5:aa', '']) {
    await t.throwsAsync(spool.open(bad as Digest), { message: /not a digest/ });
  }
});

test('a killed writer loses nothing it had checkpointed', async (t) => {
  const directory = directoryOf(t);
  const child = spawn(process.execPath, [join(import.meta.dirname, 'spool-writer.ts'), directory], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  t.teardown(() => child.kill('SIGKILL'));
  let reported = '';
  child.stdout.on('data', (chunk) => {
    reported += chunk;
  });
  while (reported.split('\n').length < 6) await once(child.stdout, 'data');
  child.kill('SIGKILL');
  await once(child, 'close');
  const last = JSON.parse(reported.slice(0, reported.lastIndexOf('\n')).split('\n').at(-1) ?? '') as number;
  const digest = digestOf(Buffer.from('never complete'));
  await using file = await new Spool(directory).open(digest);
  t.true(file.extents.prefix() >= last);
  for (let block = 0; block < file.extents.prefix() / 4096; block += 1) {
    const buffer = Buffer.alloc(4096);
    await file.read(buffer, block * 4096);
    t.true(buffer.equals(Buffer.alloc(4096, block % 251)));
  }
});

test('what is kept of a digest can be dropped, but not while it is open', async (t) => {
  const directory = directoryOf(t);
  const spool = new Spool(directory);
  const digest = digestOf(randomBytes(10));
  const file = await spool.open(digest);
  await file.write(randomBytes(1000), 0);
  await file.checkpoint();
  t.is(await spool.drop(digest), 0);
  await file.close();
  t.true((await spool.drop(digest)) >= 4096);
  t.deepEqual(readdirSync(directory), []);
  t.is(await spool.drop(digest), 0);
});
