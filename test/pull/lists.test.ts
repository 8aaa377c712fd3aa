import anyTest, { type TestFn } from 'ava';
import { ADA, basic, DOORS, Scene, smallImage } from '../auth/scene.ts';
import type { ClientResponse } from '../support/client.ts';
import { makeArtifact, topOf } from '../support/image.ts';
import { filesBelow } from './doors.ts';

const test = anyTest as TestFn<{ scene: Scene }>;
const IMAGE = smallImage('listed');
const SUBJECT = topOf(IMAGE).digest;
const SIGNATURE = makeArtifact(IMAGE, { seed: 'signature' });
const INVENTORY = makeArtifact(IMAGE, { seed: 'inventory', artifactType: 'application/spdx+json' });
const [OPEN, PRIVATE] = ['library/nginx', 'acme/app'];
const LIST = `referrers/${SUBJECT}`;
const STALE = { 'cache-status': 'Layover; hit; detail=stale', warning: '299 - "served from cache, may be stale"' };
const INDEX = 'application/vnd.oci.image.index.v1+json';

test.beforeEach(async (t) => {
  const scene = await Scene.open({ profile: 'hub' });
  for (const [name, access] of [
    [OPEN, {}],
    [PRIVATE, { access: ['ada'] }],
  ] as const) {
    scene.upstream.add(name, IMAGE, { ...access, tags: ['latest', 'v1', 'V2', 'v10', 'never-pulled'] });
    for (const artifact of [SIGNATURE, INVENTORY]) scene.upstream.add(name, artifact, access);
  }
  t.context.scene = scene;
});

test.afterEach.always(({ context: { scene } }) => scene[Symbol.asyncDispose]());

/** The digests of a list of referrers, sorted. */
function referrersIn({ body }: ClientResponse): string[] {
  const { manifests } = JSON.parse(body.toString()) as { manifests: { digest: string }[] };
  return manifests.map(({ digest }) => digest).sort();
}

function tagsIn({ body }: ClientResponse): string[] {
  return (JSON.parse(body.toString()) as { tags: string[] }).tags;
}

const BOTH = [SIGNATURE.digest, INVENTORY.digest].sort();

async function keptLists({ registry }: Scene): Promise<readonly string[]> {
  return (await filesBelow(registry.gateway.dir)).filter((path) => path.includes('_referrers'));
}

test('what refers to an image is listed by the upstream, and from the store while that is down, on every door', async (t) => {
  const { registry, upstream } = t.context.scene;
  await registry.ask('path', 'GET', OPEN, 'manifests/latest');
  const first = await registry.ask('path', 'GET', OPEN, LIST);
  t.like(first, { status: 200 });
  t.like(first.headers, { 'content-type': INDEX, 'cache-status': 'Layover; fwd=bypass', warning: undefined });
  t.deepEqual(referrersIn(first), BOTH);
  await upstream.down();
  await registry.gateway.restart();
  for (const door of DOORS) {
    const answer = await registry.ask(door, 'GET', OPEN, LIST);
    t.is(answer.status, 200, door);
    t.like(answer.headers, { ...STALE, 'content-type': INDEX, 'content-length': String(answer.length) });
    t.deepEqual(referrersIn(answer), BOTH);
    const head = await registry.ask(door, 'HEAD', OPEN, LIST);
    t.like(head, { status: 200, length: 0 });
    t.is(head.headers['content-length'], String(answer.length));
  }
});

test('what was attached a moment ago is in the list', async (t) => {
  const { registry, upstream } = t.context.scene;
  await registry.ask('path', 'GET', OPEN, 'manifests/latest');
  t.deepEqual(referrersIn(await registry.ask('path', 'GET', OPEN, LIST)), BOTH);
  const another = makeArtifact(IMAGE, { seed: 'another' });
  upstream.add(OPEN, another);
  // A stale list is what a busy machine gives after two seconds.
  let answer = await registry.ask('path', 'GET', OPEN, LIST);
  while (answer.headers.warning !== undefined) answer = await registry.ask('path', 'GET', OPEN, LIST);
  t.deepEqual(referrersIn(answer), [...BOTH, another.digest].sort());
});

test('a list is asked for again when tags.ttl is over, and not before', async (t) => {
  const scene = await Scene.open({ settings: () => ({ tags: { ttl: '1h' } }) });
  t.teardown(() => scene[Symbol.asyncDispose]());
  scene.upstream.add(OPEN, IMAGE);
  scene.upstream.add(OPEN, SIGNATURE);
  await scene.registry.ask('path', 'GET', OPEN, 'manifests/latest');
  await scene.registry.ask('path', 'GET', OPEN, LIST);
  scene.upstream.add(OPEN, INVENTORY);
  const answer = await scene.registry.ask('path', 'GET', OPEN, LIST);
  t.deepEqual(referrersIn(answer), [SIGNATURE.digest]);
  t.is(answer.headers['cache-status'], 'Layover; hit');
  t.is(scene.upstream.count({ kind: 'referrers' }), 1);
});

test('a filter picks from the same list, with the upstream and without it', async (t) => {
  const { registry, upstream } = t.context.scene;
  const filtered = `${LIST}?artifactType=application%2Fspdx%2Bjson`;
  await registry.ask('transparent', 'GET', OPEN, 'manifests/latest', await registry.token([OPEN]));
  const check = async (): Promise<void> => {
    const answer = await registry.ask('transparent', 'GET', OPEN, filtered);
    t.deepEqual(referrersIn(answer), [INVENTORY.digest]);
    t.is(answer.headers['oci-filters-applied'], 'artifactType');
  };
  await check();
  await upstream.down();
  await check();
  t.deepEqual(referrersIn(await registry.ask('transparent', 'GET', OPEN, LIST)), BOTH);
});

test('where the upstream has no such lists, clients are told so also while it is down, and find the tag', async (t) => {
  const scene = await Scene.open({ profile: 'ghcr' });
  t.teardown(() => scene[Symbol.asyncDispose]());
  const fallback = SUBJECT.replace(':', '-');
  scene.upstream.add(OPEN, IMAGE);
  scene.upstream.add(OPEN, { ...SIGNATURE, tags: [fallback] });
  const statuses = async (): Promise<number[]> => [
    (await scene.registry.ask('path', 'GET', OPEN, LIST)).status,
    (await scene.registry.ask('path', 'GET', OPEN, `manifests/${fallback}`)).status,
  ];
  await scene.registry.ask('path', 'GET', OPEN, 'manifests/latest');
  t.deepEqual(await statuses(), [404, 200]);
  await scene.upstream.down();
  t.deepEqual(await statuses(), [404, 200]);
  t.like((await scene.registry.ask('path', 'GET', OPEN, LIST)).headers, STALE);
});

test('what refers to a signature is known too, although nobody pulled that', async (t) => {
  const { registry, upstream } = t.context.scene;
  await registry.ask('path', 'GET', OPEN, 'manifests/latest');
  const countersignature = makeArtifact(SIGNATURE, { seed: 'countersignature' });
  upstream.add(OPEN, countersignature);
  const tree = async (): Promise<string[][]> => {
    const found: string[][] = [];
    for (const digest of [SUBJECT, SIGNATURE.digest, countersignature.digest]) {
      found.push(referrersIn(await registry.ask('path', 'GET', OPEN, `referrers/${digest}`)));
    }
    return found;
  };
  const whole = [BOTH, [countersignature.digest], []];
  t.deepEqual(await tree(), whole);
  await upstream.down();
  t.deepEqual(await tree(), whole);
});

test('lists of what was never pulled, and long ones, are passed on and not kept', async (t) => {
  const { scene } = t.context;
  const { registry, upstream } = scene;
  for (const hex of ['0', '1', '2']) {
    t.is((await registry.ask('path', 'GET', OPEN, `referrers/sha256:${hex.repeat(64)}`)).status, 200);
  }
  t.deepEqual(await keptLists(scene), []);
  await registry.ask('path', 'GET', OPEN, 'manifests/latest');
  const long = makeArtifact(IMAGE, { seed: 'long', artifactType: `application/${'x'.repeat(300_000)}` });
  upstream.add(OPEN, long);
  const answer = await registry.ask('path', 'GET', OPEN, LIST);
  t.deepEqual(referrersIn(answer), [...BOTH, long.digest].sort());
  t.deepEqual(await keptLists(scene), []);
  await upstream.down();
  t.is((await registry.ask('path', 'GET', OPEN, LIST)).status, 504);
});

test('lists of a private repository are for those to whom it was proven, and look absent to others', async (t) => {
  const { scene } = t.context;
  const { registry, upstream } = scene;
  const [ada, eve] = [
    await registry.token([PRIVATE], ADA),
    await registry.token([PRIVATE], basic('eve', 'password of eve')),
  ];
  await registry.get(PRIVATE, 'manifests/latest', ada);
  t.deepEqual(referrersIn(await registry.get(PRIVATE, LIST, ada)), BOTH);
  t.is((await keptLists(scene)).length, 1);
  await upstream.down();
  t.deepEqual(referrersIn(await registry.get(PRIVATE, LIST, ada)), BOTH);
  t.deepEqual(tagsIn(await registry.get(PRIVATE, 'tags/list', ada)), ['latest']);
  for (const rest of [LIST, 'tags/list']) {
    const absent = await registry.get('acme/nothing', rest, eve);
    t.is((await registry.get(PRIVATE, rest, eve)).status, absent.status);
    for (const door of ['mirror', 'path'] as const) {
      t.is((await registry.ask(door, 'GET', PRIVATE, rest)).status, 504, `${door} ${rest}`);
    }
  }
});

test('tags are listed by the upstream, and while that is down those that were pulled, in byte order and pages', async (t) => {
  const { registry, upstream } = t.context.scene;
  for (const tag of ['v10', 'v1', 'V2', 'latest']) await registry.ask('path', 'HEAD', OPEN, `manifests/${tag}`);
  const all = await registry.ask('path', 'GET', OPEN, 'tags/list');
  t.true(tagsIn(all).includes('never-pulled'));
  t.is(all.headers['cache-status'], 'Layover; fwd=bypass');
  await upstream.down();
  const own = await registry.ask('path', 'GET', OPEN, 'tags/list');
  t.deepEqual(JSON.parse(own.body.toString()), { name: OPEN, tags: ['V2', 'latest', 'v1', 'v10'] });
  t.like(own.headers, { ...STALE, link: undefined });
  const page = await registry.ask('path', 'GET', OPEN, 'tags/list?n=2');
  t.deepEqual(tagsIn(page), ['V2', 'latest']);
  t.is(page.headers.link, `</v2/docker.io/${OPEN}/tags/list?n=2&last=latest>; rel="next"`);
  const next = await registry.ask('path', 'GET', OPEN, 'tags/list?n=2&last=latest');
  t.deepEqual(tagsIn(next), ['v1', 'v10']);
  t.is(next.headers.link, undefined);
  t.is(
    (await registry.ask('transparent', 'GET', OPEN, 'tags/list?n=1')).headers.link,
    `</v2/${OPEN}/tags/list?n=1&last=V2>; rel="next"`,
  );
  t.is((await registry.ask('path', 'GET', OPEN, 'tags/list?n=many')).status, 400);
});

test('n and last reach the upstream, a tag that is gone there is not listed, and nothing pulled is no list', async (t) => {
  const { registry, upstream } = t.context.scene;
  await registry.ask('path', 'GET', OPEN, 'tags/list?n=1&last=a');
  t.is(upstream.requests.findLast(({ kind }) => kind === 'tags')?.url, `/v2/${OPEN}/tags/list?n=1&last=a`);
  await registry.ask('path', 'GET', OPEN, 'manifests/v1');
  await registry.ask('path', 'GET', OPEN, 'manifests/latest');
  upstream.repositories.get(OPEN)?.tags.delete('v1');
  await new Promise((resolve) => setTimeout(resolve, 1050));
  t.is((await registry.ask('path', 'GET', OPEN, 'manifests/v1')).status, 404);
  await upstream.down();
  t.deepEqual(tagsIn(await registry.ask('path', 'GET', OPEN, 'tags/list')), ['latest']);
  t.is((await registry.ask('path', 'GET', 'library/unknown', 'tags/list')).status, 504);
});
