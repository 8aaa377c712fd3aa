import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import test, { type ExecutionContext } from 'ava';
import { makeBlob } from '../support/content.ts';
import { blobsOf, makeImage } from '../support/image.ts';
import { blobPath, eventually, filesBelow, onDisk, settledOnDisk } from './doors.ts';
import { manifestFor, oneImage, REPOSITORY, type Stage } from './one-image.ts';

const IMAGE = makeImage({ platforms: ['linux/amd64', 'linux/arm64'], layers: [400_000, 1000] });
const AMD64 = manifestFor(IMAGE, 'amd64');

const stage = (t: ExecutionContext, complete: 'background' | 'off' = 'background'): Promise<Stage> =>
  oneImage(t, IMAGE, { complete });

/** As a client does that has every layer already. */
async function pullManifests(t: ExecutionContext, on: Stage): Promise<void> {
  t.is((await on.get('manifests/latest')).digest, IMAGE.digest);
  t.is((await on.get(`manifests/${AMD64}`)).digest, AMD64);
}

/** Waits until so much of a blob is in the spool. */
async function received({ gateway }: Stage, digest: string, bytes: number): Promise<void> {
  const part = join(gateway.dir, 'data', 'spool', `${digest.replace(':', '-')}.part`);
  // The file has its full length from the start: what is on disk tells.
  const allocated = async (): Promise<number> => ((await stat(part).catch(() => undefined))?.blocks ?? 0) * 512;
  await eventually(allocated, (found) => found >= bytes, 20_000);
}

test.serial('layers that a client had already are fetched behind its back, for the next one', async (t) => {
  const on = await stage(t);
  await pullManifests(t, on);
  for (const digest of blobsOf(IMAGE)) t.deepEqual(await settledOnDisk(on.gateway, digest), [blobPath(digest)]);
  for (const digest of blobsOf(IMAGE)) t.is(on.upstream.count({ method: 'GET', role: 'cdn', reference: digest }), 1);
  const others = blobsOf(IMAGE, 'linux/arm64').filter((digest) => !blobsOf(IMAGE).includes(digest));
  for (const digest of others) t.deepEqual(await onDisk(on.gateway, digest), [], 'of another platform');
  t.is(
    on.upstream.count({ kind: 'blob', role: 'registry' }),
    blobsOf(IMAGE).length,
    'manifests are not taken for blobs',
  );
  await on.upstream.down();
  await pullManifests(t, on);
  for (const digest of blobsOf(IMAGE)) t.is((await on.get(`blobs/${digest}`)).digest, digest);
});

test.serial('without being told to, nothing is fetched that nobody asked for', async (t) => {
  const on = await stage(t, 'off');
  await pullManifests(t, on);
  await sleep(4000);
  t.is(on.upstream.count({ role: 'cdn' }), 0);
});

test.serial('what is fetched ahead makes way for what a client waits for, and goes on after it', async (t) => {
  const on = await stage(t);
  const [layer = ''] = blobsOf(IMAGE).slice(1);
  const stall = on.upstream.fault({ role: 'cdn', reference: layer, times: 1 }, { stallAfter: 200_000 });
  await pullManifests(t, on);
  await received(on, layer, 200_000);
  const wanted = makeBlob('wanted now', 500_000);
  on.upstream.addBlob(REPOSITORY, wanted);
  t.is((await on.get(`blobs/${wanted.digest}`)).digest, wanted.digest);
  t.deepEqual(await settledOnDisk(on.gateway, layer), [blobPath(layer)]);
  stall.release();
  const requests = on.upstream.requests.filter(({ role }) => role === 'cdn');
  const resumed = requests.filter(({ headers }) => headers.range === 'bytes=200000-');
  t.is(resumed.length, 1, 'no byte is fetched twice');
});

test.serial('an upstream that refuses is left alone, and nothing is said', async (t) => {
  const on = await stage(t);
  on.upstream.fault({ role: 'registry', kind: 'blob' }, { status: 403 });
  await pullManifests(t, on);
  const asked = await eventually(
    () => on.upstream.count({ kind: 'blob' }),
    (count) => count > 0,
    20_000,
  );
  await sleep(500);
  t.is(on.upstream.count({ kind: 'blob' }), asked);
  t.deepEqual(
    (await filesBelow(join(on.gateway.dir, 'data'))).filter((file) => file.endsWith('.part')),
    [],
  );
});

test.serial('closing drops what waits and parks what runs', async (t) => {
  const on = await stage(t);
  const [layer = ''] = blobsOf(IMAGE).slice(1);
  const stall = on.upstream.fault({ role: 'cdn', reference: layer, times: 1 }, { stallAfter: 200_000 });
  t.teardown(() => stall.release());
  await pullManifests(t, on);
  await received(on, layer, 200_000);
  await on.gateway.restart();
  t.true((await onDisk(on.gateway, layer)).some((file) => file.endsWith('.part')));
  t.is((await on.get(`blobs/${layer}`)).digest, layer);
});
