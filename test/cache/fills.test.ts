import { EventEmitter, once } from 'node:events';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import test, { type ExecutionContext } from 'ava';
import { Fill } from '../../src/cache/fill.ts';
import { Follower } from '../../src/cache/follower.ts';
import { subscribe } from '../../src/events.ts';
import type { SpoolFile } from '../../src/store/spool-file.ts';
import { eventually } from '../pull/doors.ts';
import { makeBlob, toBytes } from '../support/content.ts';
import { deadPort, upstreamOf } from '../upstream/support.ts';
import { begin, digestIn, FOREVER, follow, readAll, roomOf, siteOf, sourceAt } from './room.ts';

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
  const keeper = {
    file: await spool.open(digestIn(blob)),
    renew: async (): Promise<SpoolFile> => {
      dropping.resolve();
      await mayDrop.promise;
      await keeper.file.discard();
      await keeper.file.close();
      keeper.file = await spool.open(digestIn(blob));
      return keeper.file;
    },
    commit: async (): Promise<void> => void (await keeper.file.finish()),
    progress: () => undefined,
    tell: () => undefined,
    checkpoint: async () => undefined,
    failed: () => undefined,
  };
  const { size } = blob.content;
  keeper.file.size = size;
  const fill = new Fill(digestIn(blob), size, keeper.file, { alone: 5000, withAlternative: 5000 });
  const early = follow(t, fill, sourceAt(bad, blob));
  fill.sources.join(sourceAt(good, blob));
  fill.sources.add(sourceAt(bad, blob));
  fill.receive(keeper);
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
  t.true((await reading) > 0);
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

test('who has another upstream does not fail with the one that was asked first', async (t) => {
  const blob = makeBlob('two upstreams', 100_000);
  const good = await siteOf(t, 'good.example', blob);
  const dead = { ...good, upstream: upstreamOf(t, { name: 'dead.example', urls: [await deadUrl(t)] }) };
  const room = roomOf(t);
  const [first, same, other] = [dead, dead, good].map((site) => begin(room, blob, sourceAt(site, blob)));
  await t.throwsAsync(first ?? Promise.resolve());
  await t.throwsAsync(same ?? Promise.resolve());
  t.is((await other)?.size, 100_000);
  t.is(good.fake.count({ role: 'cdn' }), 1);
});

test('an upstream that does not begin to answer makes room for the one that somebody else knows', async (t) => {
  const blob = makeBlob('silent at first', 100_000);
  const [silent, good] = [await siteOf(t, 'silent.example', blob), await siteOf(t, 'good.example', blob)];
  const silence = silent.fake.fault({}, { hang: true });
  const room = roomOf(t, undefined, { alone: 60_000, withAlternative: 100 });
  const first = begin(room, blob, sourceAt(silent, blob));
  await eventually(
    () => silence.hits,
    (hits) => hits > 0,
  );
  const [fill, same] = await Promise.all([begin(room, blob, sourceAt(good, blob)), first]);
  t.is(fill, same, 'who asked the silent one first is served, too');
  const reading = readAll(follow(t, fill, sourceAt(silent, blob)), fill.size);
  t.true((await reading).equals(toBytes(blob.content)));
  t.deepEqual([silent.fake.bytes({ role: 'cdn' }), good.fake.count({ role: 'cdn' })], [0, 1]);
});

test('of two upstreams that say nothing neither is asked again and again', async (t) => {
  const blob = makeBlob('two silent ones', 100_000);
  const [one, two] = [await siteOf(t, 'one.example', blob), await siteOf(t, 'two.example', blob)];
  const silences = [one, two].map(({ fake }) => fake.fault({}, { hang: true }));
  const room = roomOf(t, undefined, { alone: 60_000, withAlternative: 50 });
  const asking = [one, two].map(async (site, at) => {
    if (at === 1)
      await eventually(
        () => silences[0]?.hits,
        (hits) => hits === 1,
      );
    return begin(room, blob, sourceAt(site, blob));
  });
  await eventually(
    () => silences[1]?.hits,
    (hits) => hits === 1,
  );
  await sleep(500);
  t.deepEqual(
    silences.map(({ hits }) => hits),
    [1, 1],
  );
  for (const silence of silences) silence.remove();
  const [fill, same] = await Promise.all(asking);
  t.is(fill?.size, 100_000);
  t.is(fill, same);
});

async function deadUrl(t: ExecutionContext): Promise<URL> {
  return new URL(`http://127.0.0.1:${await deadPort(t)}`);
}

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

test('who waits for the end of wrong bytes does not get the end of right ones', async (t) => {
  const blob = makeBlob('two ends', 300_000);
  const [bad, good] = [await siteOf(t, 'bad.example', blob), await siteOf(t, 'good.example', blob)];
  const stall = bad.fake.fault({ role: 'cdn' }, { corruptAt: 0, stallAfter: 299_999 });
  const room = roomOf(t);
  const fill = await begin(room, blob, sourceAt(bad, blob));
  const early = follow(t, fill, sourceAt(bad, blob));
  const released = 300_000 - (64 << 10);
  await readAll(early, released);
  const end = early.read(new Uint8Array(1 << 17), released, FOREVER);
  end.catch(() => undefined);
  fill.sources.join(sourceAt(good, blob));
  stall.release();
  await fill.ended;
  t.is(fill.state, 'committed');
  await t.throwsAsync(end);
});
