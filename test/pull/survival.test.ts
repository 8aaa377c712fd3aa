import { EventEmitter, once } from 'node:events';
import anyTest, { type TestFn } from 'ava';
import fc from 'fast-check';
import { Client } from '../support/client.ts';
import { type Blob, makeBlob } from '../support/content.ts';
import { TestGateway } from '../support/gateway.ts';
import type { LoggedRequest } from '../support/upstream/log.ts';
import { type FakeUpstream, startUpstream } from '../support/upstream/upstream.ts';
import { ChildGateway } from './child.ts';
import { bearer, blobPath, eventually, onDisk, settledOnDisk, urlOf } from './doors.ts';

interface Stage {
  readonly hub: FakeUpstream;
  readonly gateway: TestGateway;
}

const test = anyTest as TestFn<Stage>;
const MIB = 1 << 20;

test.before(async (t) => {
  const hub = await startUpstream({ profile: 'hub', tls: false, users: { ada: 'of-ada', bob: 'of-bob' } });
  Object.assign(t.context, { hub, gateway: await TestGateway.start({ upstreams: [hub] }) });
});

test.after.always(async ({ context: { gateway, hub } }) => {
  await gateway[Symbol.asyncDispose]();
  await hub.close();
});

const pathOf = (gateway: TestGateway, { digest }: Blob, repository = 'library/nginx'): string =>
  urlOf(gateway, 'path', 'docker.io', repository, `blobs/${digest}`);

function downloads(hub: FakeUpstream, { digest }: Blob): LoggedRequest[] {
  return hub.requests.filter(
    ({ role, method, reference }) => role === 'cdn' && method === 'GET' && reference === digest,
  );
}

test('a fill goes on to its end when the client that began it hangs up', async (t) => {
  const { hub, gateway } = t.context;
  const blob = makeBlob('left alone', MIB);
  hub.addBlob('library/nginx', blob);
  const stall = hub.fault({ role: 'cdn', reference: blob.digest }, { stallAfter: 300_000 });
  const left = await gateway.client.request(pathOf(gateway, blob), { closeAfter: 1 });
  t.false(left.complete);
  stall.release();
  t.deepEqual(
    await eventually(
      () => onDisk(gateway, blob.digest),
      (files) => files.includes(blobPath(blob.digest)),
    ),
    [blobPath(blob.digest)],
  );
  t.is(downloads(hub, blob).length, 1);
});

test('a download cut anywhere, by an end or a reset, goes on by Range with what was lost on the way', async (t) => {
  const { hub, gateway } = t.context;
  const cuts = fc.record({
    size: fc.integer({ min: 2, max: 400_000 }),
    at: fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
    cutBy: fc.constantFrom('fin' as const, 'rst' as const),
  });
  let turn = 0;
  await fc.assert(
    fc.asyncProperty(cuts, async ({ size, at, cutBy }) => {
      const blob = makeBlob(`cut ${turn++}`, size);
      const cutAfter = Math.floor(at * size);
      hub.addBlob('library/nginx', blob);
      hub.fault({ role: 'cdn', reference: blob.digest, times: 1 }, { cutAfter, cutBy });
      const { complete, digest } = await gateway.client.request(pathOf(gateway, blob), { discard: true });
      t.deepEqual([complete, digest], [true, blob.digest]);
      const [, resumed, ...more] = downloads(hub, blob);
      t.is(more.length, 0);
      const from = Number(/^bytes=(\d+)-$/.exec(resumed?.headers.range ?? 'bytes=0-')?.[1]);
      t.true(from <= cutAfter, `went on at ${from} after ${cutAfter}`);
      t.is(resumed?.bytes, size - from);
    }),
    { seed: 20261121, numRuns: 16 },
  );
});

test('after the gateway was killed in mid-fill, the next pull fetches only what is missing', async (t) => {
  await using upstream = await startUpstream({ profile: 'mcr', tls: false });
  const blob = makeBlob('killed', 14 * MIB);
  upstream.addBlob('library/nginx', blob);
  await using gateway = await ChildGateway.start(upstream);
  using client = new Client();
  const url = (): string => `${gateway.own}/v2/docker.io/library/nginx/blobs/${blob.digest}`;
  const stall = upstream.fault({ role: 'cdn', times: 1 }, { stallAfter: 10 * MIB });
  const cut = await client.request(url(), { discard: true, closeAfter: 9.5 * MIB });
  t.false(cut.complete);
  await gateway.kill();
  stall.remove();
  await gateway.up();
  const again = await client.request(url(), { discard: true });
  t.deepEqual([again.status, again.complete, again.digest], [200, true, blob.digest]);
  const [, resumed] = downloads(upstream, blob);
  t.regex(resumed?.headers.range ?? '', /^bytes=[1-9]\d+-$/);
  t.true(upstream.bytes({ role: 'cdn' }) < 1.5 * blob.content.size, `${upstream.bytes({ role: 'cdn' })} bytes`);
});

test('a fill that only a departed client may fetch is parked, and goes on for the next who may', async (t) => {
  const { hub, gateway } = t.context;
  const blob = makeBlob('of ada', MIB);
  hub.repositories.open('acme/secret', ['ada', 'bob']);
  hub.addBlob('acme/secret', blob);
  const stall = hub.fault(
    { role: 'cdn', reference: blob.digest, times: 1 },
    { stallAfter: 400_000, cutAfter: 500_000 },
  );
  const url = urlOf(gateway, 'transparent', 'docker.io', 'acme/secret', `blobs/${blob.digest}`);
  const login = (username: string) =>
    bearer(gateway.client, 'docker.io', 'acme/secret', { username, password: `of-${username}` });
  const adas = await login('ada');
  t.false((await gateway.client.request(url, { headers: adas, closeAfter: 1 })).complete);
  const before = hub.requests.length;
  stall.release();
  const parked = await eventually(
    () => onDisk(gateway, blob.digest),
    (files) => files.some((file) => file.endsWith('.json')),
  );
  t.deepEqual(
    parked.map((file) => file.replace(/^.*\./, '.')),
    ['.json', '.part'],
  );
  t.false(hub.requests.slice(before).some(({ headers }) => headers.authorization === adas.authorization));
  const { digest, complete } = await gateway.client.request(url, { headers: await login('bob') });
  t.deepEqual([digest, complete], [blob.digest, true]);
  t.is(downloads(hub, blob).at(-1)?.headers.range, 'bytes=500000-');
  t.deepEqual(await settledOnDisk(gateway, blob.digest), [blobPath(blob.digest)]);
});

test('what was fetched before the gateway was stopped is not fetched again', async (t) => {
  await using upstream = await startUpstream({ profile: 'mcr', tls: false });
  const blob = makeBlob('stopped', MIB);
  upstream.addBlob('library/nginx', blob);
  await using gateway = await TestGateway.start({ upstreams: [upstream] });
  const url = () => urlOf(gateway, 'path', 'mcr.microsoft.com', 'library/nginx', `blobs/${blob.digest}`);
  const begun = new EventEmitter();
  const stall = upstream.fault({ role: 'cdn', times: 1 }, { stallAfter: 600_000 });
  const cut = gateway.client.request(url(), { onHead: () => begun.emit('head') }).catch((error: unknown) => error);
  await once(begun, 'head');
  await eventually(
    () => upstream.bytes({ role: 'cdn' }),
    (bytes) => bytes === 600_000,
  );
  await gateway.restart();
  await cut;
  stall.remove();
  t.is((await gateway.client.request(url())).digest, blob.digest);
  t.is(downloads(upstream, blob).at(-1)?.headers.range, 'bytes=600000-');
});
