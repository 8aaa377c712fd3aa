import { EventEmitter, once } from 'node:events';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import type { Patience } from '../../src/cache/downloads.ts';
import { Fill } from '../../src/cache/fill.ts';
import { Fills } from '../../src/cache/fills.ts';
import { Follower } from '../../src/cache/follower.ts';
import type { Source } from '../../src/cache/source.ts';
import { subscribe } from '../../src/events.ts';
import { type Digest, parseDigest } from '../../src/oci/digest.ts';
import { cachedRepository } from '../../src/oci/route.ts';
import { DiskSpace } from '../../src/space/disk-space.ts';
import { Content } from '../../src/store/content.ts';
import { FileBackend } from '../../src/store/file-backend.ts';
import { FileClaims } from '../../src/store/file-claims.ts';
import { Spool } from '../../src/store/spool.ts';
import type { SpoolFile } from '../../src/store/spool-file.ts';
import type { Upstream } from '../../src/upstream/upstream.ts';
import { eventually } from '../pull/doors.ts';
import { directoryOf } from '../store/directory.ts';
import { type Blob, makeBlob, toBytes } from '../support/content.ts';
import { type FakeUpstream, startUpstream } from '../support/upstream/upstream.ts';
import { upstreamOf } from '../upstream/support.ts';

/** A registry and our side of it. */
interface Site {
  readonly fake: FakeUpstream;
  readonly upstream: Upstream;
}

async function siteOf(t: ExecutionContext, name: string, blob: Blob): Promise<Site> {
  const fake = await startUpstream({ profile: 'mcr', tls: false });
  t.teardown(() => fake.close());
  fake.addBlob('library/nginx', blob);
  const blobHosts = fake.roles.map((role) => fake.authority(role));
  return { fake, upstream: upstreamOf(t, { name, urls: [new URL(fake.url())], blobHosts }) };
}

function sourceAt({ upstream }: Site, { digest }: Blob): Source {
  const repository = cachedRepository(`${upstream.name}/library/nginx`);
  return { upstream, repository, identity: { kind: 'anonymous' }, path: `/v2/library/nginx/blobs/${digest}` };
}

interface Room {
  readonly fills: Fills;
  readonly content: Content;
  readonly spool: Spool;
  readonly dir: string;
}

function roomOf(t: ExecutionContext, dir = directoryOf(t), patience?: Patience): Room {
  const content = new Content(new FileBackend(join(dir, 'cache')));
  const spool = new Spool(join(dir, 'spool'));
  const claims = new FileClaims(join(dir, 'spool', 'claims'));
  const space = new DiskSpace({ root: dir, cache: join(dir, 'cache'), spool: join(dir, 'spool') }, claims, AMPLE);
  t.teardown(() => space[Symbol.asyncDispose]());
  const fills = new Fills({ content, spool, claims, space }, patience === undefined ? {} : { patience });
  t.teardown(() => fills.close());
  return { fills, content, spool, dir };
}

/** More than any test needs. */
const AMPLE = { size: 2 ** 40, reserve: 0, high: 1 };

function digestIn({ digest }: Blob): Digest {
  const parsed = parseDigest(digest);
  if (parsed === undefined) throw new Error('not a digest');
  return parsed;
}

const FOREVER = new AbortController().signal;

async function readAll(reader: Follower, size: number, buffer = new Uint8Array(1 << 16)): Promise<Buffer> {
  const parts: Buffer[] = [];
  for (let at = 0; at < size; ) {
    const read = await reader.read(buffer.subarray(0, Math.min(buffer.length, size - at)), at, FOREVER);
    parts.push(Buffer.from(buffer.subarray(0, read)));
    at += read;
  }
  return Buffer.concat(parts);
}

async function begin({ fills }: Room, blob: Blob, source: Source): Promise<Fill> {
  const begun = await fills.begin(digestIn(blob), source);
  if (begun.kind !== 'fill') throw new Error(`no fill but ${begun.kind}`);
  return begun.fill;
}

/** A reader of the whole, that lets go of the fill when the test is over. */
function follow(t: ExecutionContext, fill: Fill, source: Source): Follower {
  const follower = Follower.follow(fill, source, { start: 0, end: fill.size });
  t.teardown(() => follower[Symbol.asyncDispose]());
  return follower;
}

test("a source that sends nothing any more is left for another follower's, which goes on where it stopped", async (t) => {
  const blob = makeBlob('stalled', 400_000);
  const [slow, good] = [await siteOf(t, 'slow.example', blob), await siteOf(t, 'good.example', blob)];
  slow.fake.fault({ role: 'cdn' }, { stallAfter: 100_000 });
  const room = roomOf(t, undefined, { alone: 60_000, withAlternative: 800 });
  const [first, second] = [sourceAt(slow, blob), sourceAt(good, blob)];
  const fill = await begin(room, blob, first);
  const readers = [follow(t, fill, first)];
  await eventually(
    () => slow.fake.bytes({ role: 'cdn' }),
    (bytes) => bytes === 100_000,
  );
  t.is(good.fake.requests.length, 0);
  readers.push(follow(t, fill, second));
  for (const bytes of await Promise.all(readers.map((reader) => readAll(reader, fill.size)))) {
    t.true(bytes.equals(toBytes(blob.content)));
  }
  t.deepEqual(
    good.fake.requests.filter(({ role }) => role === 'cdn').map(({ headers }) => headers.range),
    ['bytes=100000-'],
  );
  t.is(slow.fake.bytes({ role: 'cdn' }) + good.fake.bytes({ role: 'cdn' }), fill.size);
});

test('a source that is alone is given more time', async (t) => {
  const blob = makeBlob('slow but alone', 200_000);
  const slow = await siteOf(t, 'slow.example', blob);
  const stall = slow.fake.fault({ role: 'cdn' }, { stallAfter: 100_000 });
  const room = roomOf(t, undefined, { alone: 60_000, withAlternative: 40 });
  const fill = await begin(room, blob, sourceAt(slow, blob));
  const reading = readAll(follow(t, fill, sourceAt(slow, blob)), fill.size);
  await new Promise((resolve) => setTimeout(resolve, 200));
  stall.release();
  t.true((await reading).equals(toBytes(blob.content)));
  t.is(slow.fake.count({ role: 'cdn' }), 1);
});

test('nothing of wrong bytes is read while their file makes room for another', async (t) => {
  const blob = makeBlob('renewed', 300_000);
  const [bad, good] = [await siteOf(t, 'bad.example', blob), await siteOf(t, 'good.example', blob)];
  bad.fake.fault({ role: 'cdn' }, { corruptAt: 0 });
  const { spool } = roomOf(t);
  const [dropping, mayDrop] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  const renew = async (wrong: SpoolFile): Promise<SpoolFile> => {
    dropping.resolve();
    await mayDrop.promise;
    await wrong.discard();
    await wrong.close();
    return spool.open(digestIn(blob));
  };
  const commit = async (file: SpoolFile): Promise<void> => void (await file.finish());
  const file = await spool.open(digestIn(blob));
  file.size = blob.content.size;
  const keeper = { commit, renew, progress: () => undefined, failed: () => undefined };
  const fill = new Fill(digestIn(blob), file.size, file, keeper, { alone: 5000, withAlternative: 5000 });
  const early = follow(t, fill, sourceAt(bad, blob));
  fill.sources.join(sourceAt(good, blob));
  fill.start(sourceAt(bad, blob));
  const wrong = readAll(early, fill.size);
  wrong.catch(() => undefined);
  await dropping.promise;
  const late = readAll(follow(t, fill, sourceAt(good, blob)), fill.size);
  await new Promise((resolve) => setTimeout(resolve, 30));
  mayDrop.resolve();
  t.true((await late).equals(toBytes(blob.content)));
  await t.throwsAsync(wrong, undefined, 'who had read of the wrong bytes is cut off');
});

test('when bytes of two upstreams make a wrong whole, neither is blamed for the other', async (t) => {
  const blob = makeBlob('two givers', 300_000);
  const [bad, good] = [await siteOf(t, 'bad.example', blob), await siteOf(t, 'good.example', blob)];
  bad.fake.fault({ role: 'cdn' }, { corruptAt: 0, cutAfter: 150_000 });
  const room = roomOf(t);
  const fill = await begin(room, blob, sourceAt(bad, blob));
  fill.sources.join(sourceAt(good, blob));
  await fill.ended;
  t.is(fill.state, 'committed');
  t.is(await room.content.blobSize(digestIn(blob)), 300_000);
});

test('the last 64 KiB of a body are held back until its digest is known', async (t) => {
  const blob = makeBlob('held back', 300_000);
  const site = await siteOf(t, 'slow.example', blob);
  const stall = site.fake.fault({ role: 'cdn' }, { stallAfter: 299_999 });
  const room = roomOf(t);
  const source = sourceAt(site, blob);
  const fill = await begin(room, blob, source);
  const reader = follow(t, fill, source);
  await eventually(
    () => fill.bytes.prefix,
    (prefix) => prefix === 299_999,
  );
  const before = await readAll(reader, 300_000 - (64 << 10));
  let isGiven = false;
  const rest = reader.read(new Uint8Array(300_000), before.length, FOREVER).finally(() => {
    isGiven = true;
  });
  await new Promise((resolve) => setTimeout(resolve, 30));
  t.false(isGiven);
  stall.release();
  t.is(await rest, 64 << 10);
});

test('a source that answers a range far ahead with the whole is left to bring everything in order', async (t) => {
  const size = 4 << 20;
  const blob = makeBlob('all or nothing', size);
  const site = await siteOf(t, 'whole.example', blob);
  const stall = site.fake.fault({ role: 'cdn', times: 1 }, { stallAfter: 1 << 20 });
  site.fake.fault({ role: 'cdn', skip: 1 }, { ignoreRange: true, stallAfter: 65_536 });
  const answered = new EventEmitter();
  t.teardown(
    subscribe('upstreamRequest', ({ upstream, status }) => {
      if (upstream === 'whole.example' && status === 200) answered.emit('whole');
    }),
  );
  const room = roomOf(t);
  const source = sourceAt(site, blob);
  const fill = await begin(room, blob, source);
  await eventually(
    () => fill.bytes.prefix,
    (prefix) => prefix === 1 << 20,
  );
  const ignored = once(answered, 'whole');
  const far = Follower.follow(fill, source, { start: 3 << 20, end: size });
  t.teardown(() => far[Symbol.asyncDispose]());
  const reading = far.read(new Uint8Array(1000), 3 << 20, FOREVER);
  await ignored;
  await new Promise(setImmediate);
  stall.release();
  t.is(await reading, 1000);
  await fill.ended;
  t.is(fill.state, 'committed');
  t.is(site.fake.count({ role: 'cdn' }), 2);
});

test('a fill that was just parked is gone on with, not fetched past the spool', async (t) => {
  const blob = makeBlob('parked and wanted', 300_000);
  const site = await siteOf(t, 'cut.example', blob);
  const room = roomOf(t);
  const source = sourceAt(site, blob);
  for (let round = 1; round <= 5; round++) {
    const stall = site.fake.fault({ role: 'cdn', times: 1 }, { stallAfter: 50_000 });
    const fill = await begin(room, blob, source);
    await eventually(
      () => fill.bytes.prefix,
      (prefix) => prefix === 50_000 * round,
    );
    fill.park(new Error('for the test'));
    t.is(room.fills.get(digestIn(blob)), undefined);
    stall.remove();
  }
  const last = await begin(room, blob, source);
  await last.ended;
  t.is(last.state, 'committed');
  t.deepEqual(
    site.fake.requests.filter(({ role }) => role === 'cdn').map(({ headers }) => headers.range),
    [undefined, ...[1, 2, 3, 4, 5].map((round) => `bytes=${50_000 * round}-`)],
  );
});

test('a refused request leaves nothing in the spool', async (t) => {
  const blob = makeBlob('refused', 1000);
  const site = await siteOf(t, 'refusing.example', blob);
  site.fake.fault({ role: 'registry' }, { status: 404 });
  const room = roomOf(t);
  const begun = await room.fills.begin(digestIn(blob), sourceAt(site, blob));
  t.is(begun.kind, 'refused');
  t.deepEqual(await readdir(join(room.dir, 'spool')), ['claims']);
  t.deepEqual(await readdir(join(room.dir, 'spool', 'claims')), []);
});

test('of two processes on one directory one fills, and the other leaves its file alone', async (t) => {
  const blob = makeBlob('two processes', 300_000);
  const site = await siteOf(t, 'shared.example', blob);
  const stall = site.fake.fault({ role: 'cdn', times: 1 }, { stallAfter: 100_000 });
  const one = roomOf(t);
  const other = roomOf(t, one.dir);
  const source = sourceAt(site, blob);
  const fill = await begin(one, blob, source);
  const begun = await other.fills.begin(digestIn(blob), source);
  t.is(begun.kind, 'uncached');
  if (begun.kind === 'uncached') begun.opened.response.body.destroy();
  stall.release();
  await fill.ended;
  t.is(fill.state, 'committed');
  t.is(await other.content.blobSize(digestIn(blob)), 300_000);
});
