import anyTest, { type TestFn } from 'ava';
import { tagHistory } from '../../src/cli/tags.ts';
import { loadConfig } from '../../src/config/load.ts';
import { ADA, DOORS, Scene, smallImage } from '../auth/scene.ts';
import type { ClientResponse } from '../support/client.ts';
import { type Image, topOf } from '../support/image.ts';
import { eventually } from './doors.ts';

const test = anyTest as TestFn<{ scene: Scene }>;
const [OLD, NEW] = [smallImage('before'), smallImage('after')];
const [BEFORE, AFTER] = [topOf(OLD).digest, topOf(NEW).digest];
const [OPEN, PRIVATE] = ['library/nginx', 'acme/app'];

test.beforeEach(async (t) => {
  t.context.scene = await Scene.open({ profile: 'hub' });
});

test.afterEach.always(({ context: { scene } }) => scene[Symbol.asyncDispose]());

function at(time: number | string): string {
  return `manifests/latest?as-of=${typeof time === 'string' ? time : new Date(time).toISOString()}`;
}

/** Has a tag pulled before and after it moves; a time in between. */
async function moved({ registry, upstream }: Scene, repository: string, login?: string): Promise<number> {
  upstream.add(repository, OLD, login === undefined ? {} : { access: ['ada'] });
  const pull = async (image: Image): Promise<void> => {
    const authorization = await registry.token([repository], login);
    // A tag's answer is shared for a second, and stale where a busy machine takes two.
    const isThere = ({ body }: ClientResponse): boolean => body.equals(topOf(image).bytes);
    const pulled = await eventually(() => registry.get(repository, 'manifests/latest', authorization), isThere, 20_000);
    if (!isThere(pulled)) throw new Error(`another manifest came: ${pulled.status}`);
  };
  await pull(OLD);
  const between = Date.now();
  upstream.add(repository, NEW);
  await pull(NEW);
  return between;
}

test('a cached tag is pulled as it was, by GET and HEAD, with the upstream and without it', async (t) => {
  const { scene } = t.context;
  const { registry, upstream } = scene;
  const between = await moved(scene, OPEN);
  for (const isUp of [true, false]) {
    if (!isUp) await upstream.down();
    for (const door of ['path', 'mirror'] as const) {
      const ask = (rest: string, method: 'GET' | 'HEAD' = 'GET') =>
        registry.gateway.client.request(
          door === 'path'
            ? `${registry.gateway.own}/v2/docker.io/${OPEN}/${rest}`
            : `${registry.gateway.own}/v2/${OPEN}/${rest}&ns=docker.io`,
          { method },
        );
      const then = await ask(at(between));
      t.like(then, { status: 200, body: topOf(OLD).bytes });
      t.is(then.headers['docker-content-digest'], BEFORE);
      t.is((await ask(at(between), 'HEAD')).headers['docker-content-digest'], BEFORE);
      t.is((await ask(at(Date.now()))).headers['docker-content-digest'], AFTER);
    }
  }
  const early = await registry.ask('path', 'GET', OPEN, at('2020-01-01'));
  t.is(early.status, 404);
  t.regex(early.body.toString(), /not known what docker\.io\/library\/nginx:latest was at 2020-01-01T00:00:00\.000Z/);
});

test('a time that is none is refused with what was expected', async (t) => {
  const { registry } = t.context.scene;
  for (const text of ['yesterday', '2026-13-01', '2026-11-01T25:00:00Z', '2026-11-01T00:00:00', '1700000000', '']) {
    const answer = await registry.ask('path', 'GET', OPEN, at(text));
    t.is(answer.status, 400, text);
    t.regex(answer.body.toString(), /expected a time such as 2026-11-01T00:00:00Z/);
  }
  t.is((await registry.ask('path', 'GET', OPEN, at('2026-11-01T02:00:00%2B02:00'))).status, 404);
});

test('what a private tag was looks on our own names as if it never was', async (t) => {
  const { scene } = t.context;
  const between = await moved(scene, PRIVATE, ADA);
  for (const door of DOORS.filter((one) => one !== 'transparent')) {
    const query = at(between);
    const url = (name: string): string =>
      door === 'mirror'
        ? `${scene.registry.gateway.own}/v2/${name}/${query}&ns=docker.io`
        : `${scene.registry.gateway.own}/v2/docker.io/${name}/${query}`;
    const [hidden, absent] = [
      await scene.registry.gateway.client.request(url(PRIVATE)),
      await scene.registry.gateway.client.request(url('acme/nothing')),
    ];
    t.is(hidden.status, 404);
    t.is(hidden.body.toString().replaceAll(PRIVATE, '?'), absent.body.toString().replaceAll('acme/nothing', '?'));
  }
});

test('the history of a cached tag tells each move once, while the gateway runs and while it does not', async (t) => {
  const { scene } = t.context;
  const { gateway } = scene.registry;
  await moved(scene, OPEN);
  // A client of another kind sees the same.
  await scene.registry.ask('path', 'GET', OPEN, 'manifests/latest', undefined, '*/*');
  const config = await loadConfig({ file: `${gateway.dir}/gateway.yaml`, env: {}, cwd: gateway.dir });
  const name = `docker.io/${OPEN}`;
  const check = async (): Promise<void> => {
    const text = await tagHistory(config, [`${name}:latest`], {});
    const [first = '', second = '', ...more] = text.trimEnd().split('\n');
    t.regex(first, new RegExp(`^\\d{4}-\\d\\d-\\d\\dT\\S+Z {2}${BEFORE}$`));
    t.regex(second, new RegExp(`^\\S+Z {2}${BEFORE} → ${AFTER}$`));
    t.deepEqual(more, []);
    const { repository, moves } = JSON.parse(await tagHistory(config, [name], { json: true })) as {
      repository: string;
      moves: object[];
    };
    t.is(repository, name);
    t.like(moves, [
      { tag: 'latest', to: BEFORE },
      { tag: 'latest', from: BEFORE, to: AFTER },
    ]);
  };
  await check();
  await gateway.down();
  await check();
  await t.throwsAsync(tagHistory(config, [`${name}:never`], {}), { message: /nothing is known of/ });
  await t.throwsAsync(tagHistory(config, ['nowhere/app'], {}), { message: /in no upstream, as docker\.io/ });
  await t.throwsAsync(tagHistory(config, [], {}), { message: /expected tags history NAME or NAME:TAG/ });
  await gateway.up();
});
