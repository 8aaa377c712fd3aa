import { mkdir, rename, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { type Blob, makeBlob } from '../support/content.ts';
import { TestGateway } from '../support/gateway.ts';
import { blobsOf, makeImage } from '../support/image.ts';
import { pull } from '../support/pull/pull.ts';
import { type FakeUpstream, startUpstream } from '../support/upstream/upstream.ts';
import { blobPath, eventually, filesBelow, onDisk, settledOnDisk, urlOf } from './doors.ts';

const IMAGE = makeImage({ layers: [300_000, 1000] });

interface Stage {
  readonly upstream: FakeUpstream;
  readonly gateway: TestGateway;
  readonly data: string;
}

async function stage(t: ExecutionContext): Promise<Stage> {
  const upstream = await startUpstream({ profile: 'mcr', tls: false });
  t.teardown(() => upstream.close());
  const gateway = await TestGateway.start({ upstreams: [upstream] });
  t.teardown(() => gateway[Symbol.asyncDispose]());
  upstream.add('library/nginx', IMAGE);
  return { upstream, gateway, data: join(gateway.dir, 'data') };
}

function urlFor({ gateway }: Stage, { digest }: Blob): string {
  return urlOf(gateway, 'path', 'mcr.microsoft.com', 'library/nginx', `blobs/${digest}`);
}

async function pullsRight(t: ExecutionContext, { gateway }: Stage): Promise<void> {
  const { blobs, digest } = await pull('containerd', {
    client: gateway.client,
    registry: 'https://mcr.microsoft.com',
    repository: 'library/nginx',
    reference: 'latest',
  });
  t.is(digest, IMAGE.digest);
  t.deepEqual([...blobs.keys()].sort(), blobsOf(IMAGE).sort());
}

/** As `rm -rf`, again when something was written meanwhile. */
function removeAll(path: string): Promise<void> {
  return rm(path, { recursive: true, force: true, maxRetries: 5, retryDelay: 20 });
}

/** Directories that become plain files, so that nothing can be read or written below them, whoever runs the test. */
const BROKEN: Readonly<Record<string, readonly string[]>> = {
  'the spool': ['spool'],
  'the cached blobs': ['cache/blobs'],
  'the cached repositories': ['cache/repositories'],
  'the whole cache': ['cache'],
  'the cache and the spool': ['cache', 'spool'],
};

for (const [what, paths] of Object.entries(BROKEN)) {
  test.serial(
    `pulls are whole and right while ${what} cannot be used, leave nothing partial, and are kept again afterwards`,
    async (t) => {
      const on = await stage(t);
      for (const path of paths) {
        await removeAll(join(on.data, path));
        await mkdir(dirname(join(on.data, path)), { recursive: true });
        await writeFile(join(on.data, path), '');
      }
      await pullsRight(t, on);
      await pullsRight(t, on);
      const blob = makeBlob(what, 500_000);
      on.upstream.addBlob('library/nginx', blob);
      const range = await on.gateway.client.request(urlFor(on, blob), { headers: { range: 'bytes=400000-' } });
      t.is(range.status, 206);
      t.true(range.body.equals(blob.content.read(400_000, 500_000)));
      const all = await Promise.all([0, 1, 2].map(() => on.gateway.client.request(urlFor(on, blob))));
      for (const { status, complete, digest } of all) t.deepEqual([status, complete, digest], [200, true, blob.digest]);
      if (paths.includes('spool') || what === 'the whole cache') {
        const left = await eventually(
          async () => (await filesBelow(on.data)).filter((file) => /\.part$|\.json$|\.tmp$/.test(file)),
          (files) => files.length <= 1,
        );
        t.deepEqual(left, [join(on.data, 'layout.json')]);
      }
      for (const path of paths) await rm(join(on.data, path));
      await pullsRight(t, on);
      t.is((await on.gateway.client.request(urlFor(on, blob))).digest, blob.digest);
      t.deepEqual(await settledOnDisk(on.gateway, blob.digest), [blobPath(blob.digest)]);
    },
  );
}

test.serial('bytes with a wrong digest are never complete, also while nothing can be kept', async (t) => {
  const on = await stage(t);
  await removeAll(join(on.data, 'spool'));
  await writeFile(join(on.data, 'spool'), '');
  for (const [size, at] of [
    [1000, 0],
    [300_000, 0],
    [300_000, 299_999],
  ] as const) {
    const blob = makeBlob(`unkept and wrong ${size} ${at}`, size);
    on.upstream.addBlob('library/nginx', blob);
    on.upstream.fault({ role: 'cdn', reference: blob.digest }, { corruptAt: at });
    const { status, complete } = await on.gateway.client.request(urlFor(on, blob));
    t.false(status === 200 && complete, `${size} ${at}`);
    if (size === 1000) t.is(status, 502);
  }
});

test.serial(
  'a fill whose storage fails half way is carried on by its readers, each with what it has read',
  async (t) => {
    const on = await stage(t);
    const blob = makeBlob('half way', 600_000);
    on.upstream.addBlob('library/nginx', blob);
    const stall = on.upstream.fault({ role: 'cdn', reference: blob.digest, times: 1 }, { stallAfter: 300_000 });
    const begun = { heads: 0 };
    const pulls = [0, 1].map(() => on.gateway.client.request(urlFor(on, blob), { onHead: () => begun.heads++ }));
    await eventually(
      () => begun.heads,
      (heads) => heads === 2,
    );
    // What is renamed away cannot be published.
    await rename(join(on.data, 'spool'), join(on.data, 'elsewhere'));
    await mkdir(join(on.data, 'spool'));
    stall.release();
    for (const { complete, digest } of await Promise.all(pulls)) t.deepEqual([complete, digest], [true, blob.digest]);
    await removeAll(join(on.data, 'elsewhere'));
    t.is(on.upstream.count({ role: 'cdn', reference: blob.digest, method: 'GET' }), 1);
    // Until the failure is noticed, the fill goes on answering.
    const kept = await eventually(
      async () => {
        t.is((await on.gateway.client.request(urlFor(on, blob))).digest, blob.digest);
        return onDisk(on.gateway, blob.digest);
      },
      (files) => files.join() === blobPath(blob.digest),
    );
    t.deepEqual(kept, [blobPath(blob.digest)]);
  },
);

test.serial('the cache may be deleted while the gateway runs', async (t) => {
  const on = await stage(t);
  await pullsRight(t, on);
  for (let round = 0; round < 2; round++) {
    await removeAll(join(on.data, 'cache'));
    await pullsRight(t, on);
  }
  const blob = makeBlob('deleted under way', 600_000);
  on.upstream.addBlob('library/nginx', blob);
  const stall = on.upstream.fault({ role: 'cdn', reference: blob.digest }, { stallAfter: 300_000 });
  const pulling = on.gateway.client.request(urlFor(on, blob));
  await eventually(
    () => on.upstream.bytes({ role: 'cdn', reference: blob.digest }),
    (bytes) => bytes === 300_000,
  );
  await removeAll(join(on.data, 'cache'));
  stall.release();
  t.is((await pulling).digest, blob.digest);
  t.deepEqual(await settledOnDisk(on.gateway, blob.digest), [blobPath(blob.digest)]);
  await removeAll(join(on.data, 'cache'));
  t.is((await on.gateway.client.request(urlFor(on, blob))).digest, blob.digest);
});

for (const size of [1000, 300_000]) {
  test.serial(`an upstream without lengths: the length of a HEAD serves (${size} bytes)`, async (t) => {
    const on = await stage(t);
    const blob = makeBlob(`length of the HEAD ${size}`, size);
    on.upstream.addBlob('library/nginx', blob);
    on.upstream.fault({ role: 'cdn', method: 'GET', reference: blob.digest }, { length: 'chunked' });
    const { headers, digest } = await on.gateway.client.request(urlFor(on, blob));
    t.deepEqual([headers['content-length'], digest], [String(size), blob.digest]);
    t.deepEqual(await settledOnDisk(on.gateway, blob.digest), [blobPath(blob.digest)]);
  });

  test.serial(
    `an upstream that never tells a length: the blob comes in chunks, verified, and is not kept (${size} bytes)`,
    async (t) => {
      const on = await stage(t);
      for (const isRight of [true, false]) {
        const blob = makeBlob(`no length ${size} ${isRight}`, size);
        on.upstream.addBlob('library/nginx', blob);
        const where = { role: 'cdn', reference: blob.digest } as const;
        on.upstream.fault({ ...where, method: 'GET' }, { length: 'chunked', ...(!isRight && { corruptAt: size - 1 }) });
        on.upstream.fault({ ...where, method: 'HEAD' }, { length: 'chunked' });
        const { status, headers, complete, digest } = await on.gateway.client.request(urlFor(on, blob));
        if (isRight) {
          t.deepEqual([status, complete, digest], [200, true, blob.digest]);
          t.is(headers['content-length'], undefined);
        } else if (size <= 1000) t.is(status, 502);
        else t.deepEqual([status, complete], [200, false]);
        t.deepEqual(
          (await filesBelow(on.data)).filter((file) => file.endsWith('.part')),
          [],
        );
      }
    },
  );
}
