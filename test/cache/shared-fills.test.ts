import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { find } from '../../src/cache/elsewhere.ts';
import { Follower } from '../../src/cache/follower.ts';
import { formatProgress, type Progress } from '../../src/cache/progress.ts';
import { fillClaim, type Holding } from '../../src/store/claim.ts';
import type { SpoolFile } from '../../src/store/spool-file.ts';
import { eventually } from '../pull/doors.ts';
import { type Blob, makeBlob, toBytes } from '../support/content.ts';
import type { FakeUpstream } from '../support/upstream/upstream.ts';
import { begin, digestIn, FOREVER, follow, type Room, readAll, roomOf, type Site, siteOf, sourceAt } from './room.ts';

const SIZE = 300_000;
const RELEASED = SIZE - (64 << 10);

/** What the bytes' host was asked for, as ranges. */
function rangesAt(fake: FakeUpstream): (string | undefined)[] {
  return fake.requests.filter(({ role }) => role === 'cdn').map(({ headers }) => headers.range as string | undefined);
}

function contentOf(blob: Blob): Buffer {
  return Buffer.from(toBytes(blob.content));
}

/** Another process that fills: by hand, so that a test decides about each of its steps. */
interface Puppet {
  readonly file: SpoolFile;
  /** Writes what follows of `bytes`, up to `end`, and tells of it. */
  write(bytes: Uint8Array, end: number): Promise<void>;
  tell(progress?: Partial<Progress>): Promise<void>;
  leave(): Promise<void>;
}

async function puppetOf(t: ExecutionContext, room: Room, blob: Blob): Promise<Puppet> {
  const claim = await room.claims.acquire(fillClaim(digestIn(blob)));
  if (claim === undefined) throw new Error('the claim is taken');
  const file = await room.spool.open(digestIn(blob));
  t.teardown(() => file.close());
  file.size = blob.content.size;
  const base = file.extents.prefix();
  const tell = (progress: Partial<Progress> = {}): Promise<void> => {
    const told = {
      generation: 0,
      size: blob.content.size,
      base,
      prefix: file.extents.prefix(),
      state: 'filling',
    } as const;
    return claim.note(formatProgress({ ...told, ...progress }));
  };
  return {
    file,
    tell,
    write: async (bytes, end) => {
      const start = file.extents.prefix();
      await file.write(bytes.subarray(start, end), start);
      await tell();
    },
    leave: () => claim.release(),
  };
}

/** A registry with the blob, and two processes on one directory: `here`, and `there`, whose fill the puppet plays. */
async function sceneOf(t: ExecutionContext, blob: Blob) {
  const site = await siteOf(t, 'shared.example', blob);
  const here = roomOf(t);
  const there = roomOf(t, here.dir);
  return { site, here, there, puppet: await puppetOf(t, there, blob) };
}

/** A reader in `room` of what the puppet brings. */
async function followIn(t: ExecutionContext, room: Room, blob: Blob, site: Site): Promise<Follower> {
  const begun = await room.fills.begin(digestIn(blob), sourceAt(site, blob));
  if (begun.kind !== 'fill') throw new Error(`no fill but ${begun.kind}`);
  t.false(begun.first);
  return follow(t, begun.fill, sourceAt(site, blob));
}

/** Whoever reads learns that what it read is not what comes. */
async function cutOff(t: ExecutionContext, reading: Promise<unknown>): Promise<void> {
  const error = await t.throwsAsync(reading);
  t.regex(`${(error.cause as Error | undefined)?.message}`, /began anew/);
}

test('readers of several processes follow one fetch, and each of them gets the held-back end', async (t) => {
  const blob = makeBlob('several processes', SIZE);
  const site = await siteOf(t, 'shared.example', blob);
  const stall = site.fake.fault({ role: 'cdn', times: 1 }, { stallAfter: 290_000 });
  const one = roomOf(t);
  const [two, three] = [roomOf(t, one.dir), roomOf(t, one.dir)];
  const source = sourceAt(site, blob);
  const first = await begin(one, blob, source);
  const readers = [follow(t, first, source)];
  for (const room of [two, three]) readers.push(await followIn(t, room, blob, site));
  for (const reader of readers) {
    t.true((await readAll(reader, RELEASED)).equals(contentOf(blob).subarray(0, RELEASED)));
  }
  let ends = 0;
  const rest = readers.map(async (reader) => {
    const buffer = Buffer.alloc(SIZE);
    const read = await reader.read(buffer, RELEASED, FOREVER);
    ends += 1;
    return buffer.subarray(0, read);
  });
  await new Promise((resolve) => setTimeout(resolve, 60));
  t.is(ends, 0, 'before the whole is verified');
  stall.release();
  for (const end of await Promise.all(rest)) t.true(end.equals(contentOf(blob).subarray(RELEASED)));
  await first.ended;
  t.is(first.state, 'committed');
  t.is(site.fake.count({ role: 'cdn' }), 1);
  for (const room of [two, three]) {
    t.is(
      await eventually(
        () => room.fills.get(digestIn(blob)),
        (fill) => fill === undefined,
      ),
      undefined,
    );
    t.is((await room.fills.begin(digestIn(blob), source)).kind, 'stored');
  }
});

test('a small blob is given out once another process has verified it', async (t) => {
  const blob = makeBlob('small', 1000);
  const { site, here, puppet } = await sceneOf(t, blob);
  await puppet.write(contentOf(blob), 999);
  const reader = await followIn(t, here, blob, site);
  let isReady = false;
  const ready = reader.ready(FOREVER).then(() => {
    isReady = true;
  });
  await puppet.write(contentOf(blob), 1000);
  await new Promise((resolve) => setTimeout(resolve, 60));
  t.false(isReady);
  await puppet.tell({ state: 'verified' });
  await ready;
  t.true((await readAll(reader, 1000)).equals(contentOf(blob)));
  t.is(site.fake.requests.length, 0);
});

test('what another process parks is gone on with, and its readers here notice nothing', async (t) => {
  const blob = makeBlob('parked elsewhere', SIZE);
  const site = await siteOf(t, 'shared.example', blob);
  const stall = site.fake.fault({ role: 'cdn', times: 1 }, { stallAfter: 100_000 });
  const one = roomOf(t);
  const [two, three] = [roomOf(t, one.dir), roomOf(t, one.dir)];
  const fill = await begin(one, blob, sourceAt(site, blob));
  const readers = [await followIn(t, two, blob, site), await followIn(t, three, blob, site)];
  const reading = readers.map((reader) => readAll(reader, SIZE));
  await eventually(
    () => fill.bytes.prefix,
    (prefix) => prefix === 100_000,
  );
  fill.park(new Error('for the test'));
  stall.remove();
  for (const bytes of await Promise.all(reading)) t.true(bytes.equals(contentOf(blob)));
  t.deepEqual(rangesAt(site.fake), [undefined, 'bytes=100000-'], 'one of the two goes on');
});

interface Filler {
  readonly process: ChildProcess;
  kill(): Promise<void>;
}

/** A process of its own that begins to fill. */
async function fillerOf(t: ExecutionContext, room: Room, blob: Blob, site: Site): Promise<Filler> {
  const blobHosts = site.fake.roles.map((role) => site.fake.authority(role));
  const args = [join(import.meta.dirname, 'filler.ts'), room.dir, site.fake.url(), blob.digest, ...blobHosts];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  t.teardown(() => child.kill('SIGKILL'));
  await once(child.stdout, 'data');
  return {
    process: child,
    kill: async () => {
      child.kill('SIGKILL');
      await once(child, 'exit');
    },
  };
}

test('what a killed process told of is not fetched again, and its readers elsewhere get the rest', async (t) => {
  const blob = makeBlob('killed elsewhere', SIZE);
  const site = await siteOf(t, 'shared.example', blob);
  const stall = site.fake.fault({ role: 'cdn', times: 1 }, { stallAfter: 100_000 });
  const here = roomOf(t);
  const filler = await fillerOf(t, here, blob, site);
  const reader = await followIn(t, here, blob, site);
  const before = await readAll(reader, 100_000);
  stall.remove();
  await filler.kill();
  const rest = Buffer.alloc(SIZE);
  let at = 100_000;
  while (at < SIZE) at += await reader.read(rest.subarray(at), at, FOREVER);
  before.copy(rest);
  t.true(rest.equals(contentOf(blob)));
  t.deepEqual(rangesAt(site.fake), [undefined, 'bytes=100000-']);
  const stored = await eventually(
    () => here.content.blobSize(digestIn(blob)),
    (size) => size === SIZE,
    20_000,
  );
  t.is(stored, SIZE);
});

test('a process that gets nothing is relieved by another one, and its own readers go along', async (t) => {
  const blob = makeBlob('stalled elsewhere', SIZE);
  const [silent, good] = [await siteOf(t, 'silent.example', blob), await siteOf(t, 'good.example', blob)];
  silent.fake.fault({ role: 'cdn' }, { stallAfter: 100_000 });
  const times = { staleAfter: 1500, heartbeat: 20 };
  const one = roomOf(t, undefined, undefined, times);
  const two = roomOf(t, one.dir, undefined, times);
  const stalled = await begin(one, blob, sourceAt(silent, blob));
  const waiting = follow(t, stalled, sourceAt(silent, blob));
  // On a machine so busy that the claim is free already, the other process begins and follows nobody.
  const readers = [waiting, follow(t, await begin(two, blob, sourceAt(good, blob)), sourceAt(good, blob))];
  for (const bytes of await Promise.all(readers.map((reader) => readAll(reader, SIZE)))) {
    t.true(bytes.equals(contentOf(blob)));
  }
  t.true(rangesAt(good.fake).includes('bytes=100000-'));
});

test('a process that waits for the answer of its upstream shows that it is alive', async (t) => {
  const blob = makeBlob('slow answer', SIZE);
  const site = await siteOf(t, 'slow.example', blob);
  const hang = site.fake.fault({ role: 'registry', times: 1 }, { hang: true });
  const room = roomOf(t, undefined, undefined, { heartbeat: 20 });
  const beginning = room.fills.begin(digestIn(blob), sourceAt(site, blob));
  await eventually(
    () => hang.hits,
    (hits) => hits === 1,
  );
  const claims = join(room.dir, 'spool', 'claims');
  const modified = async (): Promise<number> => (await stat(join(claims, (await readdir(claims))[0] ?? ''))).mtimeMs;
  const before = await modified();
  t.true((await eventually(modified, (now) => now > before, 20_000)) > before);
  hang.release();
  t.is((await beginning).kind, 'fill');
});

test('who has read of bytes that another process found wrong is cut off; who comes later gets the right ones', async (t) => {
  const blob = makeBlob('wrong elsewhere', SIZE);
  const { site, here, there, puppet } = await sceneOf(t, blob);
  await puppet.write(Buffer.alloc(SIZE), 290_000);
  const early = await followIn(t, here, blob, site);
  await readAll(early, RELEASED);
  const end = early.read(new Uint8Array(1 << 17), RELEASED, FOREVER);
  end.catch(() => undefined);
  await puppet.tell({ generation: 1, size: 0, base: 0 });
  await puppet.file.discard();
  await eventually(
    () => here.fills.get(digestIn(blob))?.bytes.generation,
    (generation) => generation === 1,
  );
  const late = await followIn(t, here, blob, site);
  const reading = readAll(late, SIZE);
  const anew = await there.spool.open(digestIn(blob));
  t.teardown(() => anew.close());
  anew.size = SIZE;
  await anew.write(contentOf(blob), 0);
  await puppet.tell({ generation: 1, base: 0, prefix: SIZE });
  await puppet.tell({ generation: 1, base: 0, prefix: SIZE, state: 'verified' });
  t.true((await reading).equals(contentOf(blob)));
  await cutOff(t, end);
  t.is(site.fake.requests.length, 0);
});

test('a fresh file under old words is not read', async (t) => {
  const blob = makeBlob('fresh file', SIZE);
  const { site, here, there, puppet } = await sceneOf(t, blob);
  await puppet.write(contentOf(blob), 100_000);
  const reader = await followIn(t, here, blob, site);
  await readAll(reader, 100_000);
  await puppet.file.discard();
  const anew = await there.spool.open(digestIn(blob));
  t.teardown(() => anew.close());
  anew.size = SIZE;
  await puppet.leave();
  await cutOff(t, reader.read(new Uint8Array(10), 100_000, FOREVER));
});

test('what comes after a third process went on from less than was read is not taken for the rest', async (t) => {
  const blob = makeBlob('a third', SIZE);
  const { site, here, puppet } = await sceneOf(t, blob);
  await puppet.write(contentOf(blob), 50_000);
  await puppet.file.checkpoint();
  await puppet.write(contentOf(blob), 100_000);
  const reader = await followIn(t, here, blob, site);
  await readAll(reader, 100_000);
  const waiting = reader.read(new Uint8Array(10), 100_000, FOREVER);
  waiting.catch(() => undefined);
  // Both at once, so that the reader's process sees the third one only when it is further than the first was.
  const leaving = puppet.leave();
  await puppet.file.close();
  await leaving;
  const third = await puppetOf(t, roomOf(t, here.dir), blob).catch(() => undefined);
  if (third === undefined) {
    t.pass("the reader's own process was first");
    return;
  }
  t.is(third.file.extents.prefix(), 50_000);
  await third.write(Buffer.alloc(SIZE), 200_000);
  await cutOff(t, waiting);
});

test('a longer file in the place of the one that was read is not taken for it', async (t) => {
  const blob = makeBlob('replaced', SIZE);
  const { site, here, there, puppet } = await sceneOf(t, blob);
  await puppet.write(Buffer.alloc(SIZE), 50_000);
  const reader = await followIn(t, here, blob, site);
  await readAll(reader, 50_000);
  await puppet.file.discard();
  const other = await there.spool.open(digestIn(blob));
  other.size = SIZE;
  await other.write(contentOf(blob).subarray(0, 200_000), 0);
  await other.checkpoint();
  await other.close();
  await puppet.leave();
  await cutOff(t, reader.read(new Uint8Array(10), 50_000, FOREVER));
});

test('a file that comes while one looks for that of an earlier start is not taken for it', async (t) => {
  const blob = makeBlob('just renewed', SIZE);
  const here = roomOf(t);
  const puppet = await puppetOf(t, roomOf(t, here.dir), blob);
  await puppet.write(Buffer.alloc(SIZE), 100_000);
  let looks = 0;
  const holding = async (): Promise<Holding | undefined> => {
    const real = await here.claims.holding(fillClaim(digestIn(blob)));
    return (
      real && {
        look: async () => {
          looks += 1;
          if (looks === 2) await puppet.tell({ generation: 1, base: 0, prefix: 0 });
          return real.look();
        },
        [Symbol.asyncDispose]: () => Promise.resolve(real[Symbol.asyncDispose]()),
      }
    );
  };
  const claims = { holding, acquire: (name: string) => here.claims.acquire(name) };
  const { content, spool, space } = here;
  const found = await find({ content, spool, space, claims }, digestIn(blob), FOREVER);
  t.true(looks > 2);
  t.is(found?.file.extents.prefix(), 0);
  await found?.file.close();
  await found?.holding[Symbol.asyncDispose]();
});

test('readers whose other process has no disk any more go on by themselves', async (t) => {
  const blob = makeBlob('detached elsewhere', SIZE);
  const { site, here, puppet } = await sceneOf(t, blob);
  await puppet.write(contentOf(blob), 100_000);
  const readers = [await followIn(t, here, blob, site), await followIn(t, here, blob, site)];
  const reading = readers.map((reader) => readAll(reader, SIZE));
  await puppet.tell({ state: 'detached' });
  await puppet.file.discard();
  await puppet.leave();
  for (const bytes of await Promise.all(reading)) t.true(bytes.equals(contentOf(blob)));
  t.deepEqual(rangesAt(site.fake), ['bytes=100000-', 'bytes=100000-']);
});

test('a range far ahead of another process is passed through, and only it', async (t) => {
  const size = 4 << 20;
  const blob = makeBlob('far ahead', size);
  const { site, here, puppet } = await sceneOf(t, blob);
  await puppet.write(contentOf(blob), 100_000);
  const begun = await here.fills.begin(digestIn(blob), sourceAt(site, blob));
  if (begun.kind !== 'fill') return t.fail(begun.kind);
  const range = { start: 3 << 20, end: (3 << 20) + 200_000 };
  const far = Follower.follow(begun.fill, sourceAt(site, blob), range);
  t.teardown(() => far[Symbol.asyncDispose]());
  const parts: Buffer[] = [];
  for (let at = range.start; at < range.end; ) {
    const buffer = Buffer.alloc(Math.min(1 << 16, range.end - at));
    const read = await far.read(buffer, at, FOREVER);
    parts.push(buffer.subarray(0, read));
    at += read;
  }
  t.true(Buffer.concat(parts).equals(contentOf(blob).subarray(range.start, range.end)));
  t.deepEqual(rangesAt(site.fake), [`bytes=${range.start}-${range.end - 1}`]);
  t.is(begun.fill.state, 'running');
});

test('a process that is refused says nothing about the others', async (t) => {
  const blob = makeBlob('refused elsewhere', SIZE);
  const [closed, open] = [await siteOf(t, 'closed.example', blob), await siteOf(t, 'open.example', blob)];
  closed.fake.fault({ role: 'registry' }, { status: 404, delay: 300 });
  const one = roomOf(t);
  const two = roomOf(t, one.dir);
  const refused = one.fills.begin(digestIn(blob), sourceAt(closed, blob));
  await eventually(
    () => one.claims.holding(fillClaim(digestIn(blob))),
    (holding) => holding !== undefined,
  );
  const begun = await two.fills.begin(digestIn(blob), sourceAt(open, blob));
  t.is((await refused).kind, 'refused');
  t.true(begun.kind === 'fill' && begun.first);
});

test('what nobody reads here is not looked at any more, and begun with again when somebody comes', async (t) => {
  const blob = makeBlob('unread', SIZE);
  const { site, here, puppet } = await sceneOf(t, blob);
  await puppet.write(contentOf(blob), 100_000);
  const begun = await here.fills.begin(digestIn(blob), sourceAt(site, blob));
  if (begun.kind !== 'fill') return t.fail(begun.kind);
  await begun.fill.ended;
  t.is(begun.fill.state, 'parked');
  const reader = await followIn(t, here, blob, site);
  t.is((await readAll(reader, 100_000)).length, 100_000);
});

test('a process that stops lets go of what others bring, and they do not notice', async (t) => {
  const blob = makeBlob('stopping', SIZE);
  const site = await siteOf(t, 'shared.example', blob);
  const stall = site.fake.fault({ role: 'cdn', times: 1 }, { stallAfter: 100_000 });
  const one = roomOf(t);
  const two = roomOf(t, one.dir);
  const fill = await begin(one, blob, sourceAt(site, blob));
  const reader = await followIn(t, two, blob, site);
  await readAll(reader, 100_000);
  await two.fills.close();
  await t.throwsAsync(reader.read(new Uint8Array(10), 100_000, FOREVER));
  stall.release();
  await fill.ended;
  t.is(fill.state, 'committed');
  t.is(site.fake.count({ role: 'cdn' }), 1);
});
