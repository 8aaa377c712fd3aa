import { lstat, readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { blobPath, eventually, onDisk, urlOf } from '../pull/doors.ts';
import { makeBlob } from '../support/content.ts';
import { TestGateway } from '../support/gateway.ts';
import { blobsOf, type Image, makeImage } from '../support/image.ts';
import { pull } from '../support/pull/pull.ts';
import { type FakeUpstream, startUpstream } from '../support/upstream/upstream.ts';

const MIB = 1 << 20;
const REGISTRY = 'mcr.microsoft.com';

interface Stage {
  readonly upstream: FakeUpstream;
  readonly gateway: TestGateway;
  readonly data: string;
}

async function stage(t: ExecutionContext, storage: object): Promise<Stage> {
  const upstream = await startUpstream({ profile: 'mcr', tls: false });
  t.teardown(() => upstream.close());
  const gateway = await TestGateway.start({
    upstreams: [upstream],
    config: { storage: { reserve: '0', ...storage } },
  });
  t.teardown(() => gateway[Symbol.asyncDispose]());
  // Until there is an index, which begins a second after the start, eviction goes by the times of the files.
  const ready = await eventually(
    async () => (await gateway.client.request(`${gateway.admin}/metrics`)).body.toString(),
    (metrics) => metrics.includes('\nlayover_index_ready 1'),
    20_000,
  );
  t.true(ready.includes('\nlayover_index_ready 1'));
  return { upstream, gateway, data: join(gateway.dir, 'data') };
}

/** An image of one platform with two layers, one of which it may share. */
function imageOf(seed: string, size: number, shared?: string): Image {
  const base = { seed: shared ?? `${seed} base`, size: size / 4 };
  return makeImage({ seed, platforms: ['linux/amd64'], layers: [base, { seed: `${seed} top`, size }] });
}

async function pullsRight(t: ExecutionContext, { gateway }: Stage, repository: string, image: Image): Promise<void> {
  const { digest, blobs } = await pull('containerd', {
    client: gateway.client,
    registry: `https://${REGISTRY}`,
    repository,
    reference: 'latest',
  });
  t.deepEqual([digest, [...blobs.keys()].sort()], [image.digest, blobsOf(image).sort()]);
}

/** The share of an image that lies in the store: 0, 1, or something between. */
async function share({ gateway }: Stage, image: Image): Promise<number> {
  const digests = [image.digest, ...blobsOf(image)];
  const found = await Promise.all(digests.map((digest) => onDisk(gateway, digest)));
  return found.filter((files, index) => files.includes(blobPath(digests[index] ?? ''))).length / digests.length;
}

/** Allocated bytes of the cache and of what is on its way there. */
async function taken({ data }: Stage): Promise<number> {
  let bytes = 0;
  for (const directory of ['cache', 'spool']) {
    const entries = await readdir(join(data, directory), { recursive: true, withFileTypes: true }).catch(() => []);
    for (const entry of entries) {
      const found = await lstat(join(entry.parentPath, entry.name)).catch(() => undefined);
      bytes += (found?.blocks ?? 0) * 512;
    }
  }
  return bytes;
}

async function pullMany(t: ExecutionContext, on: Stage, count: number, limit: number): Promise<Image[]> {
  const images: Image[] = [];
  for (let index = 0; index < count; index += 1) {
    const image = imageOf(`image ${index}`, MIB, index % 3 === 0 ? 'shared' : undefined);
    images.push(image);
    on.upstream.add(`team/app${index}`, image);
    await pullsRight(t, on, `team/app${index}`, image);
    const bytes = await taken(on);
    t.true(bytes <= limit, `${bytes} of ${limit} bytes after image ${index}`);
    const [first] = images;
    if (first !== undefined) await pullsRight(t, on, 'team/app0', first);
  }
  return images;
}

// Events reach every gateway of the process, so these tests take turns.

test.serial('images go by their last use, whole, and the cache never takes more than its size', async (t) => {
  const on = await stage(t, { size: '12m' });
  const images = await pullMany(t, on, 16, 12 * MIB);
  const shares = await eventually(
    () => Promise.all(images.map((image) => share(on, image))),
    (found) => found.at(-1) === 1,
    20_000,
  );
  t.is(shares[0], 1, 'what is used again and again stays');
  t.deepEqual(shares.slice(-4), [1, 1, 1, 1], 'what was pulled last stays');
  t.is(shares[1], 0, 'what was not used for longest went whole');
  const firstKept = shares.findIndex((found, index) => index > 0 && found === 1);
  t.true(
    shares.slice(firstKept).every((found) => found === 1),
    shares.join(' '),
  );
});

test.serial('what was evicted is fetched again by whoever asks, and the log says why', async (t) => {
  const on = await stage(t, { size: '12m' });
  const [, image] = await pullMany(t, on, 12, 12 * MIB);
  if (image === undefined) return t.fail('there is no image');
  t.is(await share(on, image), 0);
  await pullsRight(t, on, 'team/app1', image);
  const lines = await eventually(
    async () => (await readFile(join(on.gateway.dir, 'access.log'), 'utf8')).split('\n'),
    (log) => log.filter((line) => line.includes('"why":"evicted"')).length > blobsOf(image).length,
  );
  const evicted = lines.filter((line) => line.includes('"why":"evicted"'));
  t.true(evicted.every((line) => line.includes('"repository":"team/app1"')));
  t.is(evicted.length, 1 + blobsOf(image).length);
});

test.serial('kept images survive whatever is pulled', async (t) => {
  const on = await stage(t, { size: '12m', keep: [`${REGISTRY}/team/kept:v*`] });
  const kept = imageOf('kept', MIB);
  on.upstream.add('team/kept', kept, { tags: ['v1', 'latest'] });
  const tag = urlOf(on.gateway, 'path', REGISTRY, 'team/kept', 'manifests/v1');
  t.is((await on.gateway.client.request(tag)).status, 200);
  await pullsRight(t, on, 'team/kept', kept);
  await pullMany(t, on, 12, 12 * MIB);
  t.is(await share(on, kept), 1);
});

test.serial('an answer that is being sent is finished, although its blob is evicted meanwhile', async (t) => {
  const on = await stage(t, { size: '12m' });
  const blob = makeBlob('slowly read', 3 * MIB);
  on.upstream.addBlob('team/slow', blob);
  const url = urlOf(on.gateway, 'path', REGISTRY, 'team/slow', `blobs/${blob.digest}`);
  t.is((await on.gateway.client.request(url)).digest, blob.digest);
  await eventually(
    () => onDisk(on.gateway, blob.digest),
    (files) => files.join() === blobPath(blob.digest),
  );
  const begun = Promise.withResolvers<void>();
  const slow = on.gateway.client.request(url, { bytesPerSecond: 2 * MIB, onHead: () => begun.resolve() });
  await begun.promise;
  await pullMany(t, on, 12, 12 * MIB);
  t.deepEqual(await onDisk(on.gateway, blob.digest), []);
  const { complete, digest, headers } = await slow;
  t.deepEqual([complete, digest], [true, blob.digest]);
  t.regex(String(headers['cache-status']), /hit/);
});

test.serial('cache and index may be deleted while it runs: it pulls and evicts on', async (t) => {
  const on = await stage(t, { size: '12m' });
  await pullMany(t, on, 8, 12 * MIB);
  await rm(join(on.data, 'cache'), { recursive: true, force: true, maxRetries: 5 });
  await rm(join(on.data, 'index'), { recursive: true, force: true, maxRetries: 5 });
  const images = await pullMany(t, on, 16, 12 * MIB);
  await eventually(
    async () => {
      await pullsRight(t, on, 'team/app15', images[15] ?? imageOf('', 1));
      return share(on, images[15] ?? imageOf('', 1));
    },
    (found) => found === 1,
    20_000,
  );
  t.is(await share(on, images[15] ?? imageOf('', 1)), 1);
});
