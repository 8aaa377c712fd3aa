import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { ADA, EVE, piecesOf, type Registry, Scene, smallImage, USERS } from '../auth/scene.ts';
import { until as eventually } from '../fleet/fleet.ts';
import { blobsOf, makeImage } from '../support/image.ts';
import { usersFile } from '../users/stage.ts';

// One after the other: the gateways of one process hear of each other's fetches.

const HTML = { accept: 'text/html,application/xhtml+xml,*/*;q=0.8' };

/** Everything that the pages say at this moment, to a reader who looks for `name`. */
async function told({ gateway }: Registry, name: string): Promise<string> {
  const q = encodeURIComponent(name);
  const asked = [gateway.own, gateway.admin].flatMap((origin) => [
    fetch(`${origin}/`, { headers: HTML }),
    fetch(`${origin}/?q=${q}`, { headers: HTML }),
    fetch(`${origin}/`),
    fetch(`${origin}/status`, { headers: HTML }),
    fetch(`${origin}/status.json?q=${q}`),
    fetch(`${origin}/status.json?q=${q}&page=2`),
  ]);
  // Whoever looks for a name is told which one.
  const texts = (await Promise.all(asked)).map(async (answer) =>
    (await answer.text()).replaceAll(`value="${name}"`, ''),
  );
  return (await Promise.all(texts))
    .join('\n')
    .replaceAll(`with \u201c${name}\u201d`, '')
    .replaceAll(`"query":"${name}"`, '');
}

async function pull(registry: Registry, repository: string, image: ReturnType<typeof smallImage>, login?: string) {
  const token = await registry.token([repository], login);
  for (const { rest, bytes } of piecesOf(image)) if (bytes !== undefined) await registry.get(repository, rest, token);
}

interface Cached {
  readonly repository: string;
}

async function cached({ gateway }: Registry, query = ''): Promise<readonly string[]> {
  const { cached: found } = (await (await fetch(`${gateway.own}/status.json?q=${query}`)).json()) as {
    cached: { repositories: readonly Cached[] };
  };
  return found.repositories.map(({ repository }) => repository);
}

/** What is listed follows the cache by some seconds. */
const lists = (registry: Registry, name: string) => async () => (await cached(registry)).includes(name);

async function opened(t: ExecutionContext, options: Parameters<typeof Scene.open>[0] = {}): Promise<Scene> {
  const scene = await Scene.open(options);
  t.teardown(() => scene[Symbol.asyncDispose]());
  return scene;
}

test.serial('a private image that a user pulled after a login appears nowhere, a public one does', async (t) => {
  const { registry, upstream } = await opened(t);
  const secret = smallImage('secret');
  upstream.add('acme/secret', secret, { access: ['eve'] });
  upstream.add('library/nginx', smallImage('public'));
  await pull(registry, 'acme/secret', secret, EVE);
  await pull(registry, 'library/nginx', smallImage('public'), ADA);
  await eventually(lists(registry, 'docker.io/library/nginx'));
  const text = await told(registry, 'acme/secret');
  t.true(text.includes('docker.io/library/nginx'));
  for (const hidden of ['acme', 'secret', ...blobsOf(secret)]) t.false(text.includes(hidden), hidden);
  t.deepEqual(await cached(registry, 'secret'), []);
});

test.serial('what is closed upstream is gone from the page with the first refusal', async (t) => {
  const { registry, upstream } = await opened(t);
  const repository = upstream.add('library/nginx', smallImage('public'));
  await pull(registry, 'library/nginx', smallImage('public'));
  await eventually(lists(registry, 'docker.io/library/nginx'));
  repository.access = ['ada'];
  upstream.expireTokens();
  await eventually(async () => (await registry.ask('path', 'GET', 'library/nginx', 'manifests/latest')).status === 404);
  t.deepEqual(await cached(registry), []);
  t.false((await told(registry, 'nginx')).includes('library/nginx'));
});

test.serial(
  'what the configured account serves to everybody is listed, what a user alone may read is not',
  async (t) => {
    const { registry, upstream } = await opened(t, {
      settings: () => ({ credentials: { username: 'bob', passwordFile: '/dev/null', serve: ['shared/**'] } }),
    });
    upstream.add('acme/secret', smallImage('secret'), { access: ['eve'] });
    upstream.add('shared/wide', smallImage('wide'), { access: ['eve'] });
    await pull(registry, 'acme/secret', smallImage('secret'), EVE);
    // The pattern is wider than the rights of the account: the user brought it here by her own.
    await pull(registry, 'shared/wide', smallImage('wide'), EVE);
    upstream.add('library/nginx', smallImage('public'));
    await pull(registry, 'library/nginx', smallImage('public'), EVE);
    await eventually(lists(registry, 'docker.io/library/nginx'));
    t.deepEqual(await cached(registry), ['docker.io/library/nginx']);
  },
);

test.serial('a private repository that the account was let read is listed, since everybody gets it', async (t) => {
  const directory = await mkdtemp(join(tmpdir(), 'layover-pages-'));
  t.teardown(() => rm(directory, { recursive: true }));
  const passwordFile = join(directory, 'password');
  await writeFile(passwordFile, USERS.bob);
  const { registry, upstream } = await opened(t, {
    settings: () => ({ credentials: { username: 'bob', passwordFile, serve: ['shared/**'] } }),
  });
  upstream.add('shared/app', smallImage('shared'), { access: ['bob'] });
  await registry.ask('path', 'GET', 'shared/app', 'manifests/latest');
  await eventually(lists(registry, 'docker.io/shared/app'));
  t.pass();
});

test.serial('a repository against which a rule is has no place on the page', async (t) => {
  const { registry, upstream } = await opened(t);
  for (const name of ['library/nginx', 'library/evil']) {
    upstream.add(name, smallImage(name));
    await pull(registry, name, smallImage(name));
  }
  await eventually(lists(registry, 'docker.io/library/evil'));
  await registry.gateway.reload('docker.io', { deny: ['library/evil'] });
  t.deepEqual(await cached(registry), ['docker.io/library/nginx']);
});

test.serial('while it comes, a public layer is named and a private one only counted', async (t) => {
  const { registry, upstream } = await opened(t);
  const gate = { kind: 'blob', method: 'GET' } as const;
  const [open, closed] = ['open', 'closed'].map((seed) => makeImage({ seed, layers: [300_000] }));
  if (open === undefined || closed === undefined) throw new Error('no images');
  upstream.add('library/open', open);
  upstream.add('acme/closed', closed, { access: ['eve'] });
  const anonymous = await registry.token(['library/open']);
  const own = await registry.token(['acme/closed'], EVE);
  await registry.get('library/open', 'manifests/latest', anonymous);
  await registry.get('acme/closed', 'manifests/latest', own);
  const layerOf = (image: typeof open): string => blobsOf(image)[1] ?? '';
  const stalls = [open, closed].map((image) =>
    upstream.fault({ ...gate, reference: layerOf(image) }, { stallAfter: 100_000 }),
  );
  const coming = [
    registry.get('library/open', `blobs/${layerOf(open)}`, anonymous),
    registry.get('acme/closed', `blobs/${layerOf(closed)}`, own),
  ];
  const status = async () => (await fetch(`${registry.gateway.own}/status.json`)).json() as Promise<Running>;
  await eventually(async () => (await status()).fetches.running === 2);
  const { fetches } = await status();
  const [size = 0, hidden = 0] = [open, closed].map((image) => image.blobs.get(layerOf(image))?.size);
  t.is(fetches.size, size + hidden);
  t.deepEqual(
    fetches.named.map(({ repository, digest, size }) => ({ repository, digest, size })),
    [{ repository: 'docker.io/library/open', digest: layerOf(open), size }],
  );
  const text = await told(registry, 'closed');
  t.true(text.includes('1 of them not named here'));
  for (const hidden of ['acme/closed', layerOf(closed), layerOf(closed).slice(7, 19)]) t.false(text.includes(hidden));
  for (const stall of stalls) stall.remove();
  await upstream.down();
  await Promise.all(coming);
});

interface Running {
  readonly fetches: {
    readonly running: number;
    readonly size: number;
    readonly named: readonly { readonly repository: string; readonly digest: string; readonly size: number }[];
  };
}

test.serial('where only users may read what is cached, strangers learn nothing of it', async (t) => {
  const file = await usersFile({ ada: 'secret' });
  t.teardown(() => rm(dirname(file), { recursive: true }));
  const { registry, upstream } = await opened(t, { config: { users: { file }, mirror: { read: 'users' } } });
  upstream.add('library/nginx', smallImage('public'));
  await pull(registry, 'library/nginx', smallImage('public'));
  const { own, admin } = registry.gateway;
  await eventually(async () =>
    (await (await fetch(`${admin}/status.json`)).text()).includes('docker.io/library/nginx'),
  );
  for (const path of ['/', '/status', '/status.json'])
    t.notRegex(
      await (await fetch(own + path, { headers: HTML })).text(),
      /library\/nginx|Hit ratio|Upstream registries/,
      path,
    );
  t.is((await fetch(`${own}/status.json`)).status, 404);
});
