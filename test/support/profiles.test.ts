import test from 'ava';
import { Client } from './client.ts';
import { blobsOf, makeArtifact, makeImage, TYPES } from './image.ts';
import { CLIENT_MODELS, pull } from './pull/pull.ts';
import { PullError } from './pull/session.ts';
import type { ProfileName } from './upstream/profile.ts';
import { PROFILES } from './upstream/profiles.ts';
import { startUpstream } from './upstream/upstream.ts';

const IMAGE = makeImage({ attestations: true });
const USERS = { ada: 'secret-of-ada', eve: 'secret-of-eve' };
const ADA = { username: 'ada', password: 'secret-of-ada' };
const EVE = { username: 'eve', password: 'secret-of-eve' };

for (const profile of Object.keys(PROFILES) as ProfileName[]) {
  for (const model of CLIENT_MODELS) {
    test(`${model} pulls a public image from ${profile} and sends no credential past it`, async (t) => {
      await using upstream = await startUpstream({ profile, users: USERS });
      using client = new Client({ ca: upstream.ca ?? '', keepAlive: true });
      upstream.add('library/nginx', IMAGE);
      const login = profile === 'basic' ? { credentials: ADA } : {};
      const options = { client, registry: upstream.url(), repository: 'library/nginx', ...login };
      const pulled = await pull(model, { ...options, reference: 'latest' });
      t.is(pulled.digest, IMAGE.digest);
      t.deepEqual([...pulled.blobs.keys()].sort(), blobsOf(IMAGE).sort());
      t.is((await pull(model, { ...options, reference: IMAGE.digest, platform: 'linux/arm64' })).manifests.size, 2);
      if (upstream.roles.includes('cdn')) {
        t.true(upstream.count({ role: 'cdn', kind: 'blob', status: 200 }) > 0);
        t.deepEqual(upstream.authorizations('cdn'), []);
      }
    });

    if (PROFILES[profile].auth === 'open') continue;
    test(`${model} reads a private repository of ${profile} only with the right login`, async (t) => {
      await using upstream = await startUpstream({ profile, users: USERS });
      using client = new Client({ ca: upstream.ca ?? '', keepAlive: true });
      upstream.add('acme/secret', IMAGE, { access: ['ada'] });
      const options = { client, registry: upstream.url(), repository: 'acme/secret', reference: 'latest' };
      await t.throwsAsync(pull(model, options), { instanceOf: PullError });
      await t.throwsAsync(pull(model, { ...options, credentials: EVE }), { instanceOf: PullError });
      await t.throwsAsync(pull(model, { ...options, credentials: { ...ADA, password: 'wrong' } }), {
        instanceOf: PullError,
      });
      t.is(upstream.bytes({ kind: 'blob', status: 200 }), 0);
      t.is((await pull(model, { ...options, credentials: ADA })).digest, IMAGE.digest);
    });
  }
}

test('hub counts manifest GETs but not HEADs, and answers 429 when they are used up', async (t) => {
  await using upstream = await startUpstream({ pullLimit: 1, profile: 'hub' });
  using client = new Client({ ca: upstream.ca ?? '', keepAlive: true });
  upstream.add('library/nginx', IMAGE);
  const token = await tokenFor(client, upstream.url('token'), 'library/nginx');
  const ask = (method: string) =>
    client.request(`${upstream.url()}/v2/library/nginx/manifests/latest`, {
      method,
      headers: { authorization: token },
    });
  t.is((await ask('HEAD')).headers['ratelimit-remaining'], '1;w=21600');
  t.is((await ask('HEAD')).headers['ratelimit-remaining'], '1;w=21600');
  t.is((await ask('GET')).status, 200);
  t.is((await ask('GET')).status, 429);
});

test('quay answers a client that lists no index with another digest under the same tag', async (t) => {
  await using upstream = await startUpstream({ profile: 'quay' });
  using client = new Client({ ca: upstream.ca ?? '', keepAlive: true });
  upstream.add('acme/app', IMAGE);
  const ask = (accept: string) =>
    client.request(`${upstream.url()}/v2/acme/app/manifests/latest`, { headers: { accept } });
  const [index, manifest, old] = [await ask(TYPES.ociIndex), await ask(TYPES.ociManifest), await ask('text/plain')];
  t.is(index.digest, IMAGE.digest);
  t.is(manifest.headers['content-type'], TYPES.ociManifest);
  t.is(old.headers['content-type'], TYPES.schema1Signed);
  t.is(new Set([index, manifest, old].map((answer) => answer.headers['docker-content-digest'])).size, 3);
});

test('ghcr hides an index from clients that do not list it, and signs redirects for GET alone', async (t) => {
  await using upstream = await startUpstream({ profile: 'ghcr' });
  using client = new Client({ ca: upstream.ca ?? '', keepAlive: true });
  upstream.add('acme/app', IMAGE);
  const headers = { authorization: await tokenFor(client, upstream.url(), 'acme/app'), accept: '*/*' };
  const manifest = await client.request(`${upstream.url()}/v2/acme/app/manifests/latest`, { headers });
  t.is(manifest.status, 404);
  const blob = await client.request(`${upstream.url()}/v2/acme/app/blobs/${blobsOf(IMAGE)[0]}`, { headers });
  const location = blob.headers.location ?? '';
  t.is((await client.request(location, { method: 'HEAD' })).status, 403);
  t.is((await client.request(location, { headers })).status, 400);
  t.is((await client.request(location)).status, 200);
  upstream.expireUrls();
  t.is((await client.request(location)).status, 403);
});

test('ghcr gives an account a token for the placeholder of its ping, and nobody else', async (t) => {
  await using upstream = await startUpstream({ profile: 'ghcr', users: { ada: 'pw' } });
  using client = new Client({ ca: upstream.ca ?? '' });
  const url = `${upstream.url()}/token?service=ghcr.io&scope=repository:user/image:pull`;
  const ask = (login: string) => client.request(url, { headers: { authorization: `Basic ${btoa(login)}` } });
  t.is((await client.request(url)).status, 403);
  t.is((await ask('ada:wrong')).status, 403);
  t.is((await ask('ada:pw')).status, 200);
});

test('tags come in pages, and referrers where the registry has them', async (t) => {
  await using upstream = await startUpstream({ profile: 'quay' });
  using client = new Client({ ca: upstream.ca ?? '', keepAlive: true });
  upstream.add('acme/app', IMAGE, { tags: ['v1', 'v2', 'v3'] });
  upstream.add('acme/app', makeArtifact(IMAGE));
  const first = await client.request(`${upstream.url()}/v2/acme/app/tags/list?n=2`);
  t.deepEqual(JSON.parse(first.body.toString()), { name: 'acme/app', tags: ['v1', 'v2'] });
  const next = /^<(https:[^>]+)>; rel="next"$/.exec(String(first.headers.link))?.[1] ?? '';
  const second = await client.request(next);
  t.deepEqual(JSON.parse(second.body.toString()), { name: 'acme/app', tags: ['v3'] });
  t.is(second.headers.link, undefined);
  const referrers = await client.request(`${upstream.url()}/v2/acme/app/referrers/${IMAGE.digest}`);
  t.is(referrers.headers['content-type'], TYPES.ociIndex);
  t.is((JSON.parse(referrers.body.toString()) as { manifests: unknown[] }).manifests.length, 1);
});

async function tokenFor(client: Client, origin: string, repository: string): Promise<string> {
  const answer = await client.request(`${origin}/token?service=x&scope=repository:${repository}:pull`);
  return `Bearer ${(JSON.parse(answer.body.toString()) as { token: string }).token}`;
}
