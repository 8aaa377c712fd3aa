import anyTest, { type TestFn } from 'ava';
import { ACCEPT, ADA, basic, Scene, smallImage } from '../auth/scene.ts';
import type { ClientResponse } from '../support/client.ts';
import { blobsOf, topOf } from '../support/image.ts';
import { DOORS, type Door, settledOnDisk, urlOf } from './doors.ts';

interface Stage {
  readonly scene: Scene;
}

const test = anyTest as TestFn<Stage>;
const IMAGE = smallImage('only if cached');
const LAYER = blobsOf(IMAGE)[1] ?? '';
const [OPEN, PRIVATE] = ['library/nginx', 'acme/app'];
const ONLY_IF_CACHED = { 'cache-control': 'max-age=0, Only-If-Cached' };
const DAYS = 86_400;

test.beforeEach(async (t) => {
  const scene = await Scene.open({ settings: () => ({ tags: { ttl: '1h' } }) });
  scene.upstream.add(OPEN, IMAGE);
  scene.upstream.add(PRIVATE, IMAGE, { access: ['ada'] });
  Object.assign(t.context, { scene });
});

test.afterEach.always(({ context: { scene } }) => scene[Symbol.asyncDispose]());

function ask(
  { registry }: Scene,
  door: Door,
  repository: string,
  rest: string,
  more: { readonly method?: string; readonly headers?: Record<string, string> } = {},
): Promise<ClientResponse> {
  const url = urlOf(registry.gateway, door, registry.namespace, repository, rest);
  return registry.gateway.client.request(url, {
    ...more,
    headers: { accept: ACCEPT, ...ONLY_IF_CACHED, ...more.headers },
  });
}

/** Everything of an image that can be pulled. */
const PULLED = ['manifests/latest', `manifests/${topOf(IMAGE).digest}`, `blobs/${LAYER}`];

async function pull({ registry }: Scene, repository: string, login?: string): Promise<string | undefined> {
  const authorization = await registry.token([repository], login);
  for (const rest of PULLED) await registry.get(repository, rest, authorization);
  await settledOnDisk(registry.gateway, LAYER);
  return authorization;
}

test('what is not here is answered 504, on every door, and nobody is asked', async (t) => {
  const { scene } = t.context;
  for (const door of DOORS) {
    for (const rest of [...PULLED, 'tags/list', `referrers/${IMAGE.digest}`]) {
      for (const method of ['GET', 'HEAD']) {
        const answer = await ask(scene, door, OPEN, rest, { method });
        t.is(answer.status, 504, `${door} ${method} ${rest}`);
        t.is(answer.headers['cache-status'], 'Layover; detail=NOT_CACHED');
      }
    }
  }
  for (const path of ['v2/', 'v2/_layover/token?scope=repository:library/nginx:pull', 'v2/_catalog', 'web/page']) {
    const answer = await scene.registry.gateway.client.request(`${scene.registry.origin}/${path}`, {
      headers: ONLY_IF_CACHED,
    });
    t.is(answer.status, 504, path);
  }
  t.is(scene.upstream.count({}), 0);
});

test('what is here is served, whole, in ranges and as a head, and nobody is asked, also days later', async (t) => {
  const { scene } = t.context;
  await pull(scene, OPEN);
  scene.upstream.reset();
  const later = [0, 3 * DAYS];
  for (const seconds of later) {
    scene.clock.advance(seconds);
    for (const door of DOORS) {
      for (const rest of PULLED) {
        const answer = await ask(scene, door, OPEN, rest);
        t.is(answer.status, 200, `${door} ${rest}`);
        t.is(answer.headers['cache-status'], 'Layover; hit');
        t.is(answer.digest, rest.startsWith('blobs') ? LAYER : topOf(IMAGE).digest);
        const head = await ask(scene, door, OPEN, rest, { method: 'HEAD' });
        t.deepEqual([head.status, head.length], [200, 0]);
        t.is(head.headers['content-length'], String(answer.length));
      }
      const part = await ask(scene, door, OPEN, `blobs/${LAYER}`, { headers: { range: 'bytes=1-5' } });
      t.deepEqual([part.status, part.length], [206, 5]);
    }
  }
  t.is((await ask(scene, 'path', OPEN, `blobs/sha256:${'0'.repeat(64)}`)).status, 504);
  t.is(scene.upstream.count({}), 0);
});

test('a tag that would have to be checked is answered 504', async (t) => {
  const scene = await Scene.open({ settings: () => ({ tags: { ttl: '0s' } }) });
  t.teardown(() => scene[Symbol.asyncDispose]());
  scene.upstream.add(OPEN, IMAGE);
  await pull(scene, OPEN);
  await new Promise((resolve) => setTimeout(resolve, 1050));
  scene.upstream.reset();
  t.is((await ask(scene, 'path', OPEN, 'manifests/latest')).status, 504);
  t.is((await ask(scene, 'path', OPEN, `manifests/${topOf(IMAGE).digest}`)).status, 200);
  t.is(scene.upstream.count({}), 0);
});

test('private content is served to whom it was proven lately, and to nobody else', async (t) => {
  const { scene } = t.context;
  const ada = await pull(scene, PRIVATE, ADA);
  const eve = await scene.registry.token([PRIVATE], basic('eve', 'password of eve'));
  scene.upstream.reset();
  const status = async (authorization?: string): Promise<number> => {
    const headers = authorization === undefined ? {} : { authorization };
    return (await ask(scene, 'transparent', PRIVATE, `blobs/${LAYER}`, { headers })).status;
  };
  t.deepEqual([await status(ada), await status(eve), await status()], [200, 504, 504]);
  t.is((await ask(scene, 'path', PRIVATE, `blobs/${LAYER}`)).status, 504);
  scene.clock.advance(301);
  t.is(await status(ada), 504);
  t.is(scene.upstream.count({}), 0);
});

test('on our own names /v2/ is answered as ever', async (t) => {
  const { registry } = t.context.scene;
  t.is((await registry.gateway.client.request(`${registry.gateway.own}/v2/`, { headers: ONLY_IF_CACHED })).status, 200);
});
