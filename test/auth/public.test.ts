import test from 'ava';
import { blobsOf, type Image, makeImage } from '../support/image.ts';
import { ADA, BOB, DOORS, EVE, inParallel, piecesOf, type Registry, Scene, smallImage, until } from './scene.ts';

const IMAGE = smallImage('public');
const NAME = 'library/nginx';
const HOUR = 3600;

async function pull(registry: Registry, repository: string, image: Image, login?: string): Promise<number[]> {
  const token = registry.profile === 'basic' ? login : await registry.token([repository], login);
  const statuses: number[] = [];
  for (const { rest, bytes } of piecesOf(image))
    if (bytes !== undefined) statuses.push((await registry.get(repository, rest, token)).status);
  return [...new Set(statuses)];
}

for (const profile of ['hub', 'ghcr', 'quay', 'gar', 'mcr'] as const)
  test(`anybody pulls what is public at ${profile} through every door, whatever tokens it demands`, async (t) => {
    for (const first of DOORS) {
      await using scene = await Scene.open({ profile });
      const { registry, upstream } = scene;
      upstream.add(NAME, IMAGE);
      const token = first === 'transparent' ? await registry.token([NAME]) : undefined;
      for (const piece of piecesOf(IMAGE).filter(({ bytes }) => bytes !== undefined))
        t.is((await registry.ask(first, 'GET', NAME, piece.rest, token)).status, 200, `${first} ${piece.what}`);
      await upstream.down();
      for (const door of DOORS)
        for (const piece of piecesOf(IMAGE).filter(({ bytes }) => bytes !== undefined))
          t.deepEqual((await registry.ask(door, 'GET', NAME, piece.rest)).body, piece.bytes, `${door} ${piece.what}`);
    }
  });

test('who brings no token is challenged until a repository is known to be public', async (t) => {
  await using scene = await Scene.open();
  const { registry, upstream } = scene;
  upstream.add(NAME, IMAGE);
  t.is((await registry.get(NAME, 'manifests/latest')).status, 401);
  t.is((await registry.get(NAME, 'manifests/latest', await registry.token([NAME]))).status, 200);
  t.is((await registry.get(NAME, 'manifests/latest')).status, 200);
});

test('a public image that a user pulled after a login is everybody’s, by one anonymous request of our own', async (t) => {
  await using scene = await Scene.open();
  const { registry, upstream } = scene;
  upstream.add(NAME, IMAGE);
  upstream.add('acme/app', smallImage('private'), { access: ['eve'] });
  const anonymous = () => upstream.count({ role: 'registry', repository: NAME, method: 'HEAD', status: 200 });
  t.deepEqual(await pull(registry, NAME, IMAGE, EVE), [200]);
  await until(async () => (await registry.get(NAME, 'manifests/latest')).status === 200);
  t.true(anonymous() >= 1);
  t.deepEqual(await pull(registry, 'acme/app', smallImage('private'), EVE), [200]);
  await upstream.down();
  await registry.gateway.restart();
  t.deepEqual(await pull(registry, NAME, IMAGE), [200]);
  t.is((await registry.get('acme/app', 'manifests/latest')).status, 401);
});

test('a repository that the upstream closes to strangers is closed here with the first refusal, offline as well', async (t) => {
  await using scene = await Scene.open();
  const { registry, upstream } = scene;
  const repository = upstream.add(NAME, IMAGE);
  t.deepEqual(await pull(registry, NAME, IMAGE), [200]);
  repository.access = ['ada'];
  upstream.expireTokens();
  // A tag's answer is shared for a second.
  await new Promise((resolve) => setTimeout(resolve, 1050));
  t.is((await registry.ask('path', 'GET', NAME, 'manifests/latest')).status, 404);
  const byDigest = `manifests/${IMAGE.digest}`;
  for (const door of DOORS) t.true((await registry.ask(door, 'GET', NAME, byDigest)).status >= 400, door);
  await upstream.down();
  await registry.gateway.restart();
  for (const door of DOORS) t.true((await registry.ask(door, 'GET', NAME, byDigest)).status >= 400, door);
});

for (const profile of ['hub', 'mcr'] as const)
  test(`what is only asked for by digest is proven public again once a day, at ${profile}`, async (t) => {
    await using scene = await Scene.open({ profile });
    const { registry, upstream, clock } = scene;
    const repository = upstream.add(NAME, IMAGE);
    t.deepEqual(await pull(registry, NAME, IMAGE), [200]);
    const byDigest = () => registry.ask('path', 'GET', NAME, `manifests/${IMAGE.digest}`);
    const asked = () => upstream.count({ role: 'registry', repository: NAME });
    upstream.reset();
    clock.advance(23 * HOUR);
    t.is((await byDigest()).status, 200);
    t.is(asked(), 0);
    clock.advance(2 * HOUR);
    await inParallel(Array(20).fill(0), async () => t.is((await byDigest()).status, 200) as unknown as undefined);
    await until(async () => upstream.count({ role: 'registry', repository: NAME, status: 200 }) === 1);
    clock.advance(20 * HOUR);
    t.is((await byDigest()).status, 200);
    t.is(upstream.count({ role: 'registry', repository: NAME, status: 200 }), 1);

    repository.access = ['ada'];
    upstream.expireTokens();
    clock.advance(5 * HOUR);
    await until(async () => (await byDigest()).status === 404);
  });

test('a repository stays public when something in it is gone', async (t) => {
  await using scene = await Scene.open();
  const { registry, upstream, clock } = scene;
  const repository = upstream.add(NAME, IMAGE);
  t.deepEqual(await pull(registry, NAME, IMAGE), [200]);
  repository.manifests.delete(IMAGE.digest);
  upstream.reset();
  clock.advance(25 * HOUR);
  const byDigest = () => registry.ask('path', 'GET', NAME, `manifests/${IMAGE.digest}`);
  t.is((await byDigest()).status, 200);
  await until(async () => upstream.count({ kind: 'tags', status: 200 }) === 1);
  clock.advance(2 * HOUR);
  t.is((await byDigest()).status, 200);
});

test('an expired or foreign token does not close a public repository', async (t) => {
  await using scene = await Scene.open();
  const { registry, upstream, clock } = scene;
  upstream.add(NAME, IMAGE);
  const [anonymous, other] = [await registry.token([NAME]), await registry.token(['library/other'])];
  t.deepEqual(await pull(registry, NAME, IMAGE), [200]);
  upstream.expireTokens();
  clock.advance(301);
  for (const token of [anonymous, other, 'Bearer made-up', EVE, 'Basic ???', 'Digest x'])
    await registry.get(NAME, 'manifests/latest', token);
  await upstream.down();
  t.deepEqual(await pull(registry, NAME, IMAGE), [200]);
});

test('a clock that is set back lets nobody read longer', async (t) => {
  await using scene = await Scene.open();
  const { registry, upstream, clock } = scene;
  const repository = upstream.add('acme/app', IMAGE, { access: ['ada'] });
  const token = await registry.token(['acme/app'], ADA);
  t.is((await registry.get('acme/app', `manifests/${IMAGE.digest}`, token)).status, 200);
  repository.access = [];
  upstream.expireTokens();
  clock.advance(-2 * HOUR);
  t.true((await registry.get('acme/app', `manifests/${IMAGE.digest}`, token)).status >= 400);
});

const layer = (seed: string) => ({ seed, size: 3000 });
const OPEN = makeImage({ seed: 'open', platforms: ['linux/amd64'], layers: [layer('base')] });
const SAFE = makeImage({ seed: 'safe', platforms: ['linux/amd64'], layers: [layer('secret')] });
/** Made of a layer that is public elsewhere and one that is private elsewhere. */
const MIXED = makeImage({ seed: 'mixed', platforms: ['linux/amd64'], layers: [layer('base'), layer('secret')] });
const [BASE = '', SECRET = ''] = blobsOf(MIXED).slice(1);

async function openShared(openedBy?: string): Promise<Scene> {
  const scene = await Scene.open();
  const { registry, upstream } = scene;
  upstream.add('library/open', OPEN);
  upstream.add('acme/safe', SAFE, { access: ['bob'] });
  upstream.add('acme/mixed', MIXED, { access: ['ada'] });
  await pull(registry, 'library/open', OPEN, openedBy);
  await until(async () => (await registry.get('library/open', 'manifests/latest')).status === 200);
  await pull(registry, 'acme/safe', SAFE, BOB);
  upstream.reset();
  return scene;
}

test('bytes that are public elsewhere are not thereby part of a private repository', async (t) => {
  await using scene = await openShared();
  const { registry, upstream } = scene;
  const [eve, ada] = [await registry.token(['acme/mixed'], EVE), await registry.token(['acme/mixed'], ADA)];
  for (const digest of [BASE, SECRET]) {
    t.is((await registry.get('acme/mixed', `blobs/${digest}`, eve)).status, 401);
    t.is((await registry.get('acme/mixed', `blobs/${digest}`)).status, 401);
    t.is((await registry.ask('path', 'GET', 'acme/mixed', `blobs/${digest}`)).status, 404);
    t.is((await registry.get('acme/mixed', `blobs/${digest}`, ada)).status, 200);
    t.is((await registry.get('acme/mixed', `blobs/${digest}`, eve)).status, 401);
  }
  t.is(upstream.count({ role: 'cdn', method: 'GET' }), 0, 'the bytes were there');
  t.is(
    (await registry.get('library/open', `blobs/${SECRET}`, await registry.token(['library/open'], EVE))).status,
    404,
  );
});

for (const openedBy of [undefined, EVE])
  test(`offline, a manifest’s children are served where their bytes are public, not where they are private: the public ones were pulled ${openedBy === undefined ? 'anonymously' : 'after a login'}`, async (t) => {
    await using scene = await openShared(openedBy);
    const { registry, upstream } = scene;
    const ada = await registry.token(['acme/mixed'], ADA);
    t.is((await registry.get('acme/mixed', 'manifests/latest', ada)).status, 200);
    await upstream.down();
    t.is((await registry.get('acme/mixed', `blobs/${BASE}`, ada)).status, 200);
    t.is((await registry.get('acme/mixed', `blobs/${SECRET}`, ada)).status, 504);
    const eve = await registry.token(['acme/mixed'], EVE);
    for (const digest of [BASE, SECRET]) t.is((await registry.get('acme/mixed', `blobs/${digest}`, eve)).status, 504);
  });

test('a tag that a slow upstream has not confirmed is given at once only to whom its repository is open', async (t) => {
  await using scene = await Scene.open();
  const { registry, upstream, clock } = scene;
  upstream.add('acme/app', IMAGE, { access: ['ada'] });
  t.is((await registry.get('acme/app', 'manifests/latest', await registry.token(['acme/app'], ADA))).status, 200);
  upstream.repositories.open('acme/app').access = [];
  clock.advance(301);
  upstream.expireTokens();
  const ada = await registry.token(['acme/app'], ADA);
  upstream.fault({ kind: 'manifest' }, { delay: 2500 });
  t.is((await registry.get('acme/app', 'manifests/latest', ada)).status, 401);
});
