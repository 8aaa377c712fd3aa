import test, { type ExecutionContext } from 'ava';
import type { CatalogPage } from '../../src/pages/catalog.ts';
import type { Status } from '../../src/pages/status.ts';
import { until } from '../fleet/fleet.ts';
import { TestGateway } from '../support/gateway.ts';
import { blobsOf, makeImage } from '../support/image.ts';
import { type FakeUpstream, startUpstream } from '../support/upstream/upstream.ts';

async function opened(
  t: ExecutionContext,
): Promise<{ readonly gateway: TestGateway; readonly upstream: FakeUpstream }> {
  const upstream = await startUpstream({ profile: 'hub', tls: false });
  const gateway = await TestGateway.start({ upstreams: [upstream] });
  t.teardown(async () => {
    await gateway[Symbol.asyncDispose]();
    await upstream.close();
  });
  return { gateway, upstream };
}

async function status({ own }: TestGateway): Promise<Status> {
  return (await (await fetch(`${own}/status.json`)).json()) as Status;
}

const stateOf = async (gateway: TestGateway) =>
  (await status(gateway)).upstreams.find(({ name }) => name === 'docker.io');

const pull = (gateway: TestGateway, rest: string) => fetch(`${gateway.own}/v2/docker.io/library/${rest}`);

test.serial('how far a fetch is, and how many wait for it, is told while it runs', async (t) => {
  const { gateway, upstream } = await opened(t);
  const image = makeImage({ seed: 'live', layers: [7 << 20] });
  upstream.add('library/large', image);
  const [, layer = ''] = blobsOf(image);
  t.is((await pull(gateway, 'large/manifests/latest')).status, 200);
  const stalled = upstream.fault({ kind: 'blob', reference: layer }, { stallAfter: 6 << 20 });
  const coming = pull(gateway, `large/blobs/${layer}`);
  await until(async () => (await status(gateway)).fetches.received >= 4 << 20);
  const { answers, fetches } = await status(gateway);
  t.is(answers.waiting, 1);
  t.is(fetches.named[0]?.size, image.blobs.get(layer)?.size);
  stalled.remove();
  await (await coming).arrayBuffer();
  await until(async () => (await status(gateway)).fetches.running === 0);
  const { store } = await status(gateway);
  t.true(store.used > 7 << 20 && store.used < store.limit);
});

test.serial('an upstream that wants a pause is told with the time until when', async (t) => {
  const { gateway, upstream } = await opened(t);
  upstream.add('library/nginx', makeImage({ seed: 'states', layers: [100] }));
  t.is((await stateOf(gateway))?.state, 'unasked');
  t.is((await pull(gateway, 'nginx/manifests/latest')).status, 200);
  await until(async () => (await stateOf(gateway))?.state === 'answering');
  upstream.fault({ kind: 'manifest' }, { status: 429, headers: { 'retry-after': '1000' } });
  await pull(gateway, 'other/manifests/latest');
  await until(async () => (await stateOf(gateway))?.state === 'throttled');
  const pause = Date.parse((await stateOf(gateway))?.until ?? '') - Date.now();
  t.true(pause > 500_000 && pause <= 1_000_000, String(pause));
});

test.serial('an upstream is told to be out of reach until it is back', async (t) => {
  const { gateway, upstream } = await opened(t);
  upstream.add('library/nginx', makeImage({ seed: 'away', layers: [100] }));
  await upstream.down();
  await until(async () => {
    await pull(gateway, 'nginx/manifests/latest');
    return (await stateOf(gateway))?.state === 'unreachable';
  });
  await upstream.up();
  await until(async () => {
    await pull(gateway, 'nginx/manifests/latest');
    return (await stateOf(gateway))?.state === 'answering';
  });
  t.pass();
});

test.serial('an image that was pulled once is listed with all of its bytes', async (t) => {
  const { gateway, upstream } = await opened(t);
  const image = makeImage({ seed: 'bytes', layers: [300_000, 2000] });
  upstream.add('library/nginx', image);
  // What comes later is not found by reading the files.
  await until(async () => /^layover_index_ready 1$/m.test(await (await fetch(`${gateway.admin}/metrics`)).text()));
  let bytes = 0;
  for (const rest of [
    ...image.manifests.map(({ digest }) => `manifests/${digest}`),
    ...blobsOf(image).map((digest) => `blobs/${digest}`),
  ]) {
    const answer = await pull(gateway, `nginx/${rest}`);
    t.is(answer.status, 200, rest);
    bytes += (await answer.arrayBuffer()).byteLength;
  }
  await until(async () => {
    const { cached } = (await (await fetch(`${gateway.own}/status.json`)).json()) as { cached: CatalogPage };
    return cached.repositories[0]?.size === bytes;
  });
});
