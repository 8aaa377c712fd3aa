import { setTimeout as sleep } from 'node:timers/promises';
import test, { type ExecutionContext } from 'ava';
import { blobsOf, makeImage } from '../support/image.ts';
import { blobPath, onDisk, settledOnDisk } from './doors.ts';
import { manifestFor, oneImage, REGISTRY, type Stage } from './one-image.ts';

const LAYERS = [300_000, 200_000, 100_000, 70_000, 1000, 1000, 1000, 1000];
const IMAGE = makeImage({ platforms: ['linux/amd64', 'linux/arm64'], layers: LAYERS });
const AMD64 = manifestFor(IMAGE, 'amd64');

const stage = (t: ExecutionContext, storage: Readonly<Record<string, unknown>> = {}): Promise<Stage> =>
  oneImage(t, IMAGE, { prefetch: 'layers' }, storage);

test("a platform's manifest brings its config and layers, each once, and nothing of other platforms", async (t) => {
  const on = await stage(t);
  t.is((await on.get('manifests/latest')).digest, IMAGE.digest);
  await sleep(300);
  t.is(on.upstream.count({ kind: 'blob' }), 0, 'an index is of no platform');
  await on.get(`manifests/${AMD64}`);
  for (const digest of blobsOf(IMAGE)) t.deepEqual(await settledOnDisk(on.gateway, digest), [blobPath(digest)]);
  for (const digest of blobsOf(IMAGE)) t.is(on.upstream.count({ method: 'GET', role: 'cdn', reference: digest }), 1);
  const others = blobsOf(IMAGE, 'linux/arm64').filter((digest) => !blobsOf(IMAGE).includes(digest));
  for (const digest of others) t.deepEqual(await onDisk(on.gateway, digest), []);
  t.is(on.upstream.count({ kind: 'blob', role: 'registry' }), blobsOf(IMAGE).length);
});

test('a client that asks at the same time shares what was begun, and no right is asked for twice', async (t) => {
  const on = await stage(t);
  await on.get(`manifests/${AMD64}`);
  await Promise.all(
    blobsOf(IMAGE).map(async (digest, at) => {
      await sleep(20 * at);
      t.is((await on.get(`blobs/${digest}`)).digest, digest);
    }),
  );
  for (const digest of blobsOf(IMAGE)) {
    t.is(on.upstream.count({ method: 'GET', role: 'cdn', reference: digest }), 1);
    t.is(on.upstream.count({ method: 'HEAD', reference: digest }), 0);
  }
});

test('nothing is fetched ahead that does not fit', async (t) => {
  const on = await stage(t, { size: '600k' });
  t.is((await on.get(`manifests/${AMD64}`)).status, 200);
  await sleep(500);
  t.is(on.upstream.count({ kind: 'blob' }), 0);
});

test('a manifest that was here already brings nothing', async (t) => {
  const on = await stage(t);
  await on.gateway.reload(REGISTRY, { prefetch: 'off' });
  await on.get(`manifests/${AMD64}`);
  await on.gateway.reload(REGISTRY, { prefetch: 'layers' });
  t.is((await on.get(`manifests/${AMD64}`)).status, 200);
  await sleep(1000);
  t.is(on.upstream.count({ kind: 'blob' }), 0);
});
