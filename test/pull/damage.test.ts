import { open, truncate } from 'node:fs/promises';
import { join } from 'node:path';
import anyTest, { type ExecutionContext, type TestFn } from 'ava';
import { type Blob, makeBlob } from '../support/content.ts';
import { TestGateway } from '../support/gateway.ts';
import { makeImage, topOf } from '../support/image.ts';
import { type FakeUpstream, startUpstream } from '../support/upstream/upstream.ts';
import { blobPath, settledOnDisk, urlOf } from './doors.ts';

interface Stage {
  readonly upstream: FakeUpstream;
  readonly gateway: TestGateway;
}

const test = anyTest as TestFn<Stage>;

test.beforeEach(async (t) => {
  const upstream = await startUpstream({ profile: 'mcr', tls: false });
  Object.assign(t.context, { upstream, gateway: await TestGateway.start({ upstreams: [upstream] }) });
});

test.afterEach.always(async ({ context: { gateway, upstream } }) => {
  await gateway[Symbol.asyncDispose]();
  await upstream.close();
});

async function pull({ gateway }: Stage, { digest }: Pick<Blob, 'digest'>, repository = 'library/nginx') {
  return gateway.client.request(urlOf(gateway, 'path', 'mcr.microsoft.com', repository, `blobs/${digest}`));
}

/** A blob that was pulled; the path of its file. */
async function stored(t: ExecutionContext<Stage>, size: number): Promise<{ blob: Blob; file: string }> {
  const blob = makeBlob(t.title, size);
  t.context.upstream.addBlob('library/nginx', blob);
  t.is((await pull(t.context, blob)).digest, blob.digest);
  await settledOnDisk(t.context.gateway, blob.digest);
  return { blob, file: join(t.context.gateway.dir, 'data', blobPath(blob.digest)) };
}

for (const [what, size] of [
  ['shorter', 100_000],
  ['empty', 0],
  ['longer', 300_000],
] as const) {
  test(`a stored blob whose file became ${what} is never served, but fetched again`, async (t) => {
    const { blob, file } = await stored(t, 200_000);
    await truncate(file, size);
    const before = t.context.upstream.count({ role: 'cdn' });
    // The bytes that the gateway has just served are looked at again after a second.
    await t.context.gateway.restart();
    for (let turn = 0; turn < 2; turn += 1) {
      const { status, digest, complete } = await pull(t.context, blob);
      t.deepEqual([status, digest, complete], [200, blob.digest, true]);
      await settledOnDisk(t.context.gateway, blob.digest);
    }
    t.is(t.context.upstream.count({ role: 'cdn' }), before + 1);
  });
}

test('a small blob or a manifest with a wrong byte is never served, but fetched again', async (t) => {
  const { gateway, upstream } = t.context;
  const { blob, file } = await stored(t, 2000);
  const image = makeImage({ seed: t.title, layers: [100] });
  upstream.add('library/nginx', image);
  const { digest: manifest } = topOf(image);
  const asked = () =>
    gateway.client.request(urlOf(gateway, 'path', 'mcr.microsoft.com', 'library/nginx', `manifests/${manifest}`));
  t.is((await asked()).digest, manifest);
  for (const path of [file, join(gateway.dir, 'data', blobPath(manifest))]) {
    await using damaged = await open(path, 'r+');
    await damaged.write('x', 10);
    await damaged.write('y', 11);
  }
  await gateway.restart();
  t.is((await pull(t.context, blob)).digest, blob.digest);
  t.is((await asked()).digest, manifest);
});
