import { utimesSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'ava';
import { type Digest, digestOf } from '../../src/oci/digest.ts';
import { blobPath } from '../pull/doors.ts';
import { LAYER, Stage } from './stage.ts';

function layersOf(...seeds: readonly string[]): Digest[] {
  return seeds.map((seed) => digestOf(Buffer.alloc(LAYER, seed)));
}

// Events reach every stage of the process, so these tests take turns.

test.serial('whole images go by their last use, down to the low mark, and what others need stays', async (t) => {
  const on = await Stage.set(t, { limit: 8 * LAYER, low: 0.7 });
  const a = await on.image('docker.io/library/a', 'latest', ['base', 'a1', 'a2']);
  const b = await on.image('docker.io/library/b', 'latest', ['base', 'b1', 'b2']);
  const c = await on.image('docker.io/library/c', 'latest', ['c1', 'c2']);
  on.tell(b, c, a);
  await on.eviction.run(2 * LAYER);
  t.deepEqual(await on.has(a, b, c), [true, false, true]);
  const layers = layersOf('base', 'a1', 'a2', 'b1', 'b2', 'c1', 'c2');
  t.deepEqual(await on.has(...layers), [true, true, true, false, false, true, true]);
  t.deepEqual(on.evictions, [{ images: 1, bytes: 2 * LAYER + 4096 }]);
  t.is(on.notices.length, 1);
  t.regex(
    on.notices[0] ?? '',
    /^evicted 1 images \(3 objects\), 132 KB, last used on \d{4}-\d\d-\d\d \d\d:\d\d UTC or before; 328 KB of 512 KB/,
  );
  t.deepEqual(on.forgotten.sort(), [b, ...layers.slice(3, 5)].sort());
  // The index has heard of it: another run goes on where this one ended.
  await on.eviction.run(4 * LAYER);
  t.deepEqual(await on.has(a, c), [true, false]);
});

test.serial('nothing happens while there is room', async (t) => {
  const on = await Stage.set(t, { limit: 8 * LAYER });
  const a = await on.image('docker.io/library/a', 'latest', ['a1', 'a2']);
  on.tell(a);
  await on.eviction.run(0);
  t.deepEqual([await on.has(a), on.notices], [[true], []]);
});

test.serial('what was used a moment ago is evicted for what is waited for, not for the low mark', async (t) => {
  const on = await Stage.set(t, { limit: 4 * LAYER, low: 0.5 });
  const a = await on.image('docker.io/library/a', 'latest', ['a1', 'a2', 'a3']);
  on.tell(a);
  await on.eviction.run(0);
  t.deepEqual(await on.has(a), [true]);
  await on.eviction.run(LAYER);
  t.deepEqual(await on.has(a), [false]);
});

test.serial('kept images stay with everything they need, and being stuck is said once', async (t) => {
  const keep = ['docker.io/library/a', 'ghcr.io/acme/*:v*'];
  const on = await Stage.set(t, { limit: 10 * LAYER, low: 0.1, keep });
  const whole = await on.image('docker.io/library/a', 'old', ['base', 'a1']);
  const tagged = await on.image('ghcr.io/acme/app', 'v1', ['base', 'v1']);
  const other = await on.image('ghcr.io/acme/app', 'edge', ['base', 'edge']);
  const elsewhere = await on.image('quay.io/x/y', 'v1', ['y']);
  on.tell(whole, tagged, other, elsewhere);
  await on.eviction.run(10 * LAYER);
  t.deepEqual(await on.has(whole, tagged, other, elsewhere), [true, true, false, false]);
  t.deepEqual(await on.has(...layersOf('base', 'a1', 'v1', 'edge', 'y')), [true, true, true, false, false]);
  await on.eviction.run(10 * LAYER);
  await on.eviction.run(10 * LAYER);
  t.deepEqual(
    on.notices.map((message) => message.split(/[ ,]/)[0]),
    ['evicted', 'nothing'],
  );
});

test.serial('without an index the oldest files go, and kept repositories stay', async (t) => {
  const on = await Stage.set(t, { limit: 6 * LAYER, low: 0.55, indexed: false, keep: ['docker.io/library/a:*'] });
  await on.image('docker.io/library/a', 'latest', ['a1', 'a2']);
  for (const seed of ['old', 'older', 'young']) await on.layer('docker.io/library/b', seed);
  const layers = layersOf('a1', 'a2', 'old', 'older', 'young');
  const times = [1, 1, 20, 10, 30];
  for (const [index, digest] of layers.entries()) {
    utimesSync(join(on.files.directory, '..', blobPath(digest)), times[index] ?? 0, times[index] ?? 0);
  }
  await on.eviction.run(0);
  t.deepEqual(await on.has(...layers), [true, true, false, false, true]);
});

test.serial(
  'partial downloads go first, the oldest before others, and never one that was just written to',
  async (t) => {
    const on = await Stage.set(t, { limit: 6 * LAYER, low: 0.65 });
    const a = await on.image('docker.io/library/a', 'latest', ['a1', 'a2', 'a3']);
    on.tell(a);
    await on.park('older', 7200);
    await on.park('old', 3600);
    await on.park('writing', 0);
    const parked = async () => (await on.spool.list()).map(({ digest }) => digest).sort();
    await on.eviction.run(0);
    const [older, old, writing] = ['older', 'old', 'writing'].map((seed) => digestOf(Buffer.from(seed)));
    t.deepEqual(await parked(), [writing]);
    t.deepEqual([await on.has(a), older === old], [[true], false]);
  },
);

test.serial('a figure that is only guessed is counted before anything is evicted', async (t) => {
  const on = await Stage.set(t, { limit: 4 * LAYER });
  on.trusted = false;
  await on.eviction.run(0);
  t.is(on.recounts, 1);
  await on.eviction.run(0);
  t.is(on.recounts, 1);
});

test.serial('files that are gone already are no reason to stop, nor to go on for ever', async (t) => {
  const on = await Stage.set(t, { limit: 4 * LAYER, low: 0.25 });
  const a = await on.image('docker.io/library/a', 'latest', ['a1', 'a2']);
  const b = await on.image('docker.io/library/b', 'latest', ['b1', 'b2']);
  on.tell(a, b);
  await on.index.inventory({ repositories: [], digests: [] });
  for (const digest of layersOf('a1', 'a2')) await on.files.content.removeBlob(digest);
  await on.eviction.run(2 * LAYER);
  t.deepEqual(await on.has(a, b), [false, false]);
});

test.serial('after it was closed nothing is evicted', async (t) => {
  const on = await Stage.set(t, { limit: LAYER });
  const a = await on.image('docker.io/library/a', 'latest', ['a1', 'a2']);
  on.tell(a);
  await on.eviction.close();
  await on.eviction.run(LAYER);
  t.deepEqual(await on.has(a), [true]);
});

test.serial(
  'when nothing is left to evict it is counted anew, since files may have gone behind our back',
  async (t) => {
    const on = await Stage.set(t, { limit: 4 * LAYER, low: 0.5 });
    const a = await on.image('docker.io/library/a', 'latest', ['a1', 'a2']);
    on.tell(a);
    await on.eviction.run(8 * LAYER);
    t.deepEqual([await on.has(a), on.recounts], [[false], 1]);
    await on.eviction.run(8 * LAYER);
    t.is(on.recounts, 1, 'not again and again');
  },
);

test.serial('on a disk that takes not even a claim, images go', async (t) => {
  const on = await Stage.set(t, { limit: 4 * LAYER, low: 0.6 });
  await writeFile(join(on.files.directory, '..', 'claims'), 'a file where the directory of claims should be');
  await on.park('parked', 3600);
  const a = await on.image('docker.io/library/a', 'latest', ['a1']);
  const b = await on.image('docker.io/library/b', 'latest', ['b1']);
  on.tell(a, b);
  await on.eviction.run(LAYER);
  t.deepEqual([await on.has(a, b), (await on.spool.list()).length], [[false, true], 1]);
});

test.serial('while another process evicts, nothing is evicted', async (t) => {
  const on = await Stage.set(t, { limit: 2 * LAYER });
  const a = await on.image('docker.io/library/a', 'latest', ['a1', 'a2']);
  on.tell(a);
  {
    await using other = await on.claims.acquire('upkeep/eviction');
    t.truthy(other);
    await on.eviction.run(LAYER);
    t.deepEqual(await on.has(a), [true]);
  }
  await on.eviction.run(LAYER);
  t.deepEqual(await on.has(a), [false]);
});

test.serial('what could not be done is not tried again at once, unless it has become urgent', async (t) => {
  const on = await Stage.set(t, { limit: 4 * LAYER, low: 0.1 });
  const a = await on.image('docker.io/library/a', 'latest', ['a1']);
  on.tell(a);
  await on.eviction.run(0);
  await on.park('parked', 3600);
  await on.eviction.run(0);
  t.is((await on.spool.list()).length, 1, 'nothing was looked at');
  await on.eviction.run(4 * LAYER);
  t.deepEqual([await on.has(a), (await on.spool.list()).length], [[false], 0]);
});
