import { setTimeout as sleep } from 'node:timers/promises';
import anyTest, { type TestFn } from 'ava';
import type { ClientResponse } from '../support/client.ts';
import { digestOf, fromBytes, generated, toBytes } from '../support/content.ts';
import { NAMESPACE, TestGateway } from '../support/gateway.ts';
import { type Image, makeImage, type StoredManifest, TYPES, topOf } from '../support/image.ts';
import type { FaultWhere } from '../support/upstream/fault.ts';
import { type FakeUpstream, startUpstream } from '../support/upstream/upstream.ts';
import { eventually, onDisk, urlOf } from './doors.ts';

type Name = 'hub' | 'quay' | 'mcr' | 'gar' | 'k8s';
type Stage = Readonly<Record<Name, FakeUpstream>> & { readonly gateway: TestGateway };

const test = anyTest as TestFn<Stage>;
const MIB = 1 << 20;
const MODERN = [TYPES.ociIndex, TYPES.ociManifest, TYPES.dockerList, TYPES.dockerManifest].join(', ');
/** A tag's answer is shared for a second. */
const UNSHARED = 1050;
const STALE = { 'cache-status': 'Layover; hit; detail=stale', warning: '299 - "served from cache, may be stale"' };

test.before(async (t) => {
  const names: readonly Name[] = ['hub', 'quay', 'mcr', 'gar', 'k8s'];
  const upstreams = await Promise.all(names.map((profile) => startUpstream({ profile, tls: false })));
  const dead = await startUpstream({ profile: 'mcr', tls: false });
  const away = dead.url();
  await dead.close();
  const gateway = await TestGateway.start({
    upstreams,
    settings: { 'registry.k8s.io': { urls: [away, upstreams[4]?.url() ?? ''] } },
  });
  Object.assign(t.context, Object.fromEntries(upstreams.map((upstream) => [upstream.profile, upstream])), { gateway });
});

test.after.always(async ({ context: { gateway, ...upstreams } }) => {
  await gateway[Symbol.asyncDispose]();
  await Promise.all(Object.values(upstreams).map((upstream) => upstream.close()));
});

interface Asked {
  readonly accept?: string | undefined;
  readonly method?: string;
  readonly upstream?: Name;
}

function ask({ gateway }: Stage, repository: string, reference: string, asked: Asked = {}): Promise<ClientResponse> {
  const { accept = MODERN, method = 'GET', upstream = 'hub' } = asked;
  const url = urlOf(gateway, 'path', NAMESPACE[upstream], repository, `manifests/${reference}`);
  return gateway.client.request(url, { method, headers: accept === '' ? {} : { accept } });
}

/** Manifest requests that the upstream answered itself: the 401 before a token is not one. */
function asked(upstream: FakeUpstream, repository: string, method: 'GET' | 'HEAD'): number {
  return (
    upstream.count({ kind: 'manifest', repository, method }) -
    upstream.count({ kind: 'manifest', repository, method, status: 401 })
  );
}

function imageIn(upstream: FakeUpstream, repository: string, seed = repository): Image {
  const image = makeImage({ seed, layers: [100] });
  upstream.add(repository, image);
  return image;
}

test('a tag is revalidated by a HEAD alone, and its manifest is fetched once', async (t) => {
  const { hub } = t.context;
  const image = imageIn(hub, 'moving/revalidated');
  const cold = await ask(t.context, 'moving/revalidated', 'latest');
  t.deepEqual([cold.status, cold.digest], [200, image.digest]);
  t.is(cold.headers['cache-status'], 'Layover; fwd=uri-miss; stored');
  t.deepEqual([asked(hub, 'moving/revalidated', 'HEAD'), asked(hub, 'moving/revalidated', 'GET')], [1, 1]);
  await sleep(UNSHARED);
  const warm = await ask(t.context, 'moving/revalidated', 'latest');
  t.is(warm.digest, image.digest);
  t.is(warm.headers['cache-status'], 'Layover; fwd=stale; fwd-status=304');
  t.is(warm.headers.warning, undefined);
  t.deepEqual([asked(hub, 'moving/revalidated', 'HEAD'), asked(hub, 'moving/revalidated', 'GET')], [2, 1]);
  for (const name of ['content-type', 'content-length', 'docker-content-digest', 'etag']) {
    t.is(warm.headers[name], cold.headers[name], name);
  }
});

test('HEAD of a tag stays a HEAD, with the head that the GET has', async (t) => {
  const { hub } = t.context;
  const image = imageIn(hub, 'moving/head');
  const cold = await ask(t.context, 'moving/head', 'latest', { method: 'HEAD' });
  t.deepEqual([cold.status, cold.length], [200, 0]);
  t.deepEqual([asked(hub, 'moving/head', 'HEAD'), asked(hub, 'moving/head', 'GET')], [1, 0]);
  const got = await ask(t.context, 'moving/head', 'latest');
  t.is(got.digest, image.digest);
  for (const name of ['content-type', 'content-length', 'docker-content-digest', 'etag']) {
    t.truthy(cold.headers[name]);
    t.is(cold.headers[name], got.headers[name], name);
  }
  t.is(asked(hub, 'moving/head', 'GET'), 1);
  const byDigest = await ask(t.context, 'moving/head', image.digest, { method: 'HEAD' });
  t.is(byDigest.headers['docker-content-digest'], image.digest);
  t.is(asked(hub, 'moving/head', 'GET'), 1);
});

test('a tag that moved is followed', async (t) => {
  const { hub } = t.context;
  const [before, after] = [imageIn(hub, 'moving/moved', 'before'), makeImage({ seed: 'after', layers: [200] })];
  t.is((await ask(t.context, 'moving/moved', 'latest')).digest, before.digest);
  hub.add('moving/moved', after);
  await sleep(UNSHARED);
  t.is((await ask(t.context, 'moving/moved', 'latest')).digest, after.digest);
  t.is((await ask(t.context, 'moving/moved', before.digest)).digest, before.digest);
  t.is(asked(hub, 'moving/moved', 'GET'), 2);
});

test.serial('requests for the same tag within a second share one question', async (t) => {
  const { hub } = t.context;
  const image = imageIn(hub, 'moving/shared');
  const started = performance.now();
  const answers = await Promise.all(Array.from({ length: 20 }, () => ask(t.context, 'moving/shared', 'latest')));
  t.true(answers.every(({ digest }) => digest === image.digest));
  const next = await ask(t.context, 'moving/shared', 'latest');
  t.is(asked(hub, 'moving/shared', 'GET'), 1);
  // On a machine that took longer than the second there is nothing more to see.
  if (performance.now() - started > 1000) return;
  t.is(next.headers['cache-status'], 'Layover; hit');
  t.is(asked(hub, 'moving/shared', 'HEAD'), 1);
});

test('answers that depend on Accept do not mix, on and off line', async (t) => {
  const { quay } = t.context;
  const image = imageIn(quay, 'moving/classes');
  const child = JSON.parse(topOf(image).bytes.toString()).manifests[0].digest as string;
  const pull = async (accept: string) =>
    (await ask(t.context, 'moving/classes', 'latest', { accept, upstream: 'quay' })).digest;
  const both = async () => [await pull(MODERN), await pull(TYPES.ociManifest)];
  t.deepEqual(await both(), [image.digest, child]);
  t.deepEqual(await both(), [image.digest, child]);
  await sleep(UNSHARED);
  t.deepEqual(await both(), [image.digest, child]);
  quay.fault({ repository: 'moving/classes' }, { status: 503 });
  await sleep(UNSHARED);
  t.deepEqual(await Promise.all([pull(MODERN), pull(TYPES.ociManifest)]), [image.digest, child]);
  const reordered = [...MODERN.split(', ')].reverse().join(',');
  t.is(await pull(reordered), image.digest);
});

test('while the upstream is down the last answer goes out at once, marked', async (t) => {
  const { mcr } = t.context;
  const image = imageIn(mcr, 'moving/down');
  await ask(t.context, 'moving/down', 'latest', { upstream: 'mcr' });
  await mcr.down();
  await sleep(UNSHARED);
  const times: number[] = [];
  for (let pull = 0; pull < 8; pull++) {
    const answer = await ask(t.context, 'moving/down', 'latest', { upstream: 'mcr' });
    t.deepEqual([answer.status, answer.digest], [200, image.digest]);
    t.like(answer.headers, STALE);
    times.push(answer.totalMs);
  }
  t.true(Math.min(...times) < 1000, `${times.map(Math.round)} ms`);
  const unknown = await ask(t.context, 'moving/down', 'other', { upstream: 'mcr' });
  t.is(unknown.status, 504);
});

test('while the upstream is slow the last answer goes out after two seconds, and then the new one', async (t) => {
  const { hub } = t.context;
  const [before, after] = [imageIn(hub, 'moving/slow', 'slow'), makeImage({ seed: 'slow no more', layers: [200] })];
  await ask(t.context, 'moving/slow', 'latest');
  hub.add('moving/slow', after);
  const slow = hub.fault({ repository: 'moving/slow', kind: 'manifest' }, { hang: true });
  await sleep(UNSHARED);
  const asking = [ask(t.context, 'moving/slow', 'latest'), ask(t.context, 'moving/slow', 'latest')];
  // The upstream says something else meanwhile: it is slow for one question, not silent.
  await sleep(500);
  await ask(t.context, 'moving/slow-but-there', 'latest');
  for (const { digest, headers, totalMs } of await Promise.all(asking)) {
    t.is(digest, before.digest);
    t.like(headers, STALE);
    t.true(totalMs > 1800 && totalMs < 4000, `${totalMs} ms`);
  }
  t.true((await ask(t.context, 'moving/slow', 'latest')).totalMs > 1800);
  t.is(slow.hits, 1);
  slow.remove();
  await sleep(100);
  t.is((await ask(t.context, 'moving/slow', 'latest')).digest, after.digest);
});

test('an upstream that says nothing at all keeps only the first client waiting, and is heard when it speaks', async (t) => {
  const upstream = await startUpstream({ profile: 'mcr', tls: false });
  t.teardown(() => upstream.close());
  const gateway = await TestGateway.start({ upstreams: [upstream] });
  t.teardown(() => gateway[Symbol.asyncDispose]());
  const before = imageIn(upstream, 'silent/app', 'silent');
  const pull = (): Promise<ClientResponse> =>
    ask({ ...t.context, gateway }, 'silent/app', 'latest', { upstream: 'mcr' });
  await pull();
  const silence = upstream.fault({}, { hang: true });
  await sleep(UNSHARED);
  t.true((await pull()).totalMs > 1800);
  const later = [await pull(), await pull(), await pull(), await pull(), await pull(), await pull()];
  for (const { status, digest, headers } of later) {
    t.deepEqual([status, digest], [200, before.digest]);
    t.like(headers, STALE);
  }
  t.true(Math.min(...later.map(({ totalMs }) => totalMs)) < 1000);
  const after = makeImage({ seed: 'speaks again', layers: [200] });
  upstream.add('silent/app', after);
  silence.remove();
  t.is((await eventually(pull, ({ digest }) => digest === after.digest)).status, 200);
});

for (const status of [500, 502, 503, 504]) {
  test(`the last answer stands in for a ${status}`, async (t) => {
    const { hub } = t.context;
    const repository = `moving/failing-${status}`;
    const image = imageIn(hub, repository);
    await ask(t.context, repository, 'latest');
    await sleep(UNSHARED);
    hub.fault({ repository }, { status });
    const answer = await ask(t.context, repository, 'latest');
    t.deepEqual([answer.status, answer.digest], [200, image.digest]);
    t.like(answer.headers, STALE);
    t.is((await ask(t.context, repository, 'unknown')).status, 504);
  });
}

for (const status of [401, 403, 404]) {
  test(`nothing stands in for a ${status}: it is the upstream's word`, async (t) => {
    const { hub, gateway } = t.context;
    const repository = `moving/refusing-${status}`;
    imageIn(hub, repository);
    await ask(t.context, repository, 'latest');
    await sleep(UNSHARED);
    const refusing = hub.fault({ role: 'registry', repository } satisfies FaultWhere, { status });
    const answer = await ask(t.context, repository, 'latest');
    t.is(answer.status, 404, 'on our own names nothing is ever challenged');
    t.is((JSON.parse(answer.body.toString()) as { errors: unknown[] }).errors.length, 1);
    t.is(answer.headers['content-type'], 'application/json');
    t.is(answer.headers.warning, undefined);
    refusing.remove();
    t.is((await ask(t.context, repository, 'latest')).status, 200);
    t.is(
      (await gateway.client.request(urlOf(gateway, 'path', 'docker.io', repository, 'manifests/latest'))).status,
      200,
    );
  });
}

test('during the Retry-After of a 429 the upstream is left alone: what is cached answers, the rest gets the 429', async (t) => {
  const { gar } = t.context;
  const image = imageIn(gar, 'moving/throttled');
  await ask(t.context, 'moving/throttled', 'latest', { upstream: 'gar' });
  await sleep(UNSHARED);
  const throttle = gar.fault({ repository: 'moving/throttled' }, { status: 429, headers: { 'retry-after': '2' } });
  for (let pull = 0; pull < 3; pull++) {
    const cached = await ask(t.context, 'moving/throttled', 'latest', { upstream: 'gar' });
    t.deepEqual([cached.status, cached.digest], [200, image.digest]);
    t.like(cached.headers, STALE);
  }
  const unknown = await ask(t.context, 'moving/throttled', 'other', { upstream: 'gar' });
  t.is(unknown.status, 429);
  t.regex(unknown.headers['retry-after'] ?? '', /^[12]$/);
  t.is((JSON.parse(unknown.body.toString()) as { errors: { code: string }[] }).errors[0]?.code, 'TOOMANYREQUESTS');
  t.is(throttle.hits, 1);
  throttle.remove();
  await sleep(2050);
  t.is(
    (await ask(t.context, 'moving/throttled', 'latest', { upstream: 'gar' })).headers['cache-status'],
    'Layover; fwd=stale; fwd-status=304',
  );
});

test('a manifest that is there is not fetched again because another tag leads to it', async (t) => {
  const { hub } = t.context;
  const image = imageIn(hub, 'moving/children', 'child of two');
  const children = image.manifests.filter(({ digest }) => digest !== image.digest);
  const [child] = children;
  t.truthy(child);
  const alone: Image = { ...image, digest: child?.digest ?? '', tags: ['alone'] };
  hub.add('moving/children', alone);
  await ask(t.context, 'moving/children', 'alone');
  await ask(t.context, 'moving/children', 'latest');
  t.is(asked(hub, 'moving/children', 'GET'), 2);
  const again = await ask(t.context, 'moving/children', alone.digest);
  t.is(again.digest, alone.digest);
  t.is(again.headers['cache-status'], 'Layover; hit');
  t.deepEqual([asked(hub, 'moving/children', 'GET'), asked(hub, 'moving/children', 'HEAD')], [2, 2]);
});

for (const [by, framing] of [
  ['tag', 'with its length'],
  ['digest', 'in chunks'],
] as const) {
  test(`a manifest of more than 16 MiB by ${by}, ${framing}, passes through and is not kept`, async (t) => {
    const { hub, gateway } = t.context;
    const repository = `moving/huge-${by}-${framing.length}`;
    const filler = toBytes(generated(repository, 13 * MIB)).toString('base64');
    const bytes = Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType: TYPES.ociManifest, layers: [], filler }));
    const manifest: StoredManifest = { digest: digestOf(fromBytes(bytes)), mediaType: TYPES.ociManifest, bytes };
    hub.add(repository, { digest: manifest.digest, manifests: [manifest], blobs: new Map(), tags: ['latest'] });
    if (framing === 'in chunks') hub.fault({ kind: 'manifest', repository, method: 'GET' }, { length: 'chunked' });
    const answer = await ask(t.context, repository, by === 'tag' ? 'latest' : manifest.digest);
    t.deepEqual([answer.status, answer.complete, answer.digest], [200, true, manifest.digest]);
    t.is(answer.headers['content-type'], TYPES.ociManifest);
    t.is(answer.headers['cache-status'], 'Layover; fwd=bypass');
    t.deepEqual(await onDisk(gateway, manifest.digest), []);
  });
}

test('a schema 1 manifest passes through and is not kept', async (t) => {
  const { quay, gateway } = t.context;
  const image = imageIn(quay, 'moving/schema1');
  for (let pull = 0; pull < 2; pull++) {
    const answer = await ask(t.context, 'moving/schema1', 'latest', { accept: TYPES.schema1Signed, upstream: 'quay' });
    t.is(answer.status, 200);
    t.is(answer.headers['content-type'], TYPES.schema1Signed);
    t.is(JSON.parse(answer.body.toString()).schemaVersion, 1);
    t.is(answer.headers['cache-status'], 'Layover; fwd=bypass');
    t.deepEqual(await onDisk(gateway, answer.digest), []);
  }
  t.is((await ask(t.context, 'moving/schema1', 'latest', { upstream: 'quay' })).digest, image.digest);
});

test('a dead base URL is passed over for the next one', async (t) => {
  const { k8s } = t.context;
  const image = imageIn(k8s, 'moving/failover');
  const first = await ask(t.context, 'moving/failover', 'latest', { upstream: 'k8s' });
  t.deepEqual([first.status, first.digest], [200, image.digest]);
  await sleep(UNSHARED);
  const second = await ask(t.context, 'moving/failover', 'latest', { upstream: 'k8s' });
  t.is(second.headers['cache-status'], 'Layover; fwd=stale; fwd-status=304');
});

test('what the upstream says about its limit is passed on with the answer it was asked for, and not kept', async (t) => {
  const { hub } = t.context;
  const image = imageIn(hub, 'moving/limited');
  const limits = ({ headers }: ClientResponse): unknown[] =>
    ['ratelimit-limit', 'ratelimit-remaining', 'docker-ratelimit-source'].map((name) => headers[name]);
  const said = ['100;w=21600', '100;w=21600', '192.0.2.1'];
  t.deepEqual(limits(await ask(t.context, 'moving/limited', 'latest')), said);
  await sleep(UNSHARED);
  const revalidated = await ask(t.context, 'moving/limited', 'latest');
  t.is(revalidated.headers['cache-status'], 'Layover; fwd=stale; fwd-status=304');
  t.deepEqual(limits(revalidated), said);
  const byDigest = await ask(t.context, 'moving/limited', image.digest);
  t.is(byDigest.headers['cache-status'], 'Layover; hit');
  t.deepEqual(limits(byDigest), [undefined, undefined, undefined]);
});
