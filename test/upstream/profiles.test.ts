import test, { type ExecutionContext } from 'ava';
import { digestOf } from '../../src/oci/digest.ts';
import type { Identity, UpstreamRequest } from '../../src/upstream/contract.ts';
import { makeImage, TYPES } from '../support/image.ts';
import type { ProfileName } from '../support/upstream/profile.ts';
import { startUpstream } from '../support/upstream/upstream.ts';
import { pull, upstreamOf } from './support.ts';

const PROFILES: readonly ProfileName[] = ['hub', 'ghcr', 'quay', 'lscr', 'k8s', 'gar', 'mcr', 'basic'];
const ACCEPT = [TYPES.ociIndex, TYPES.ociManifest, TYPES.dockerList, TYPES.dockerManifest];
const USERS = { alice: 'pw' };
const ALICE = `Basic ${Buffer.from('alice:pw').toString('base64')}`;

async function setUp(t: ExecutionContext, profile: ProfileName, tls: boolean) {
  const registry = await startUpstream({ profile, tls, users: USERS });
  t.teardown(() => registry.close());
  const image = makeImage({ seed: 'upstream', platforms: ['linux/amd64'], layers: [100_000] });
  registry.add('team/public', image);
  registry.add('team/private', image, { access: ['alice'] });
  const layer = [...image.blobs].find(([, { size }]) => size > 50_000);
  const upstream = upstreamOf(t, {
    name: profile,
    urls: [new URL(registry.url())],
    ...(registry.ca !== undefined && { ca: registry.ca }),
    accounts: { bot: { username: 'alice', password: 'pw' } },
    tokenHosts: registry.roles.filter((role) => role !== 'cdn').map((role) => registry.authority(role)),
  });
  return { registry, upstream, image, layer: layer?.[0] ?? '', size: layer?.[1].size ?? 0 };
}

for (const profile of PROFILES) {
  for (const tls of [true, false]) {
    test(`an image is pulled from ${profile} over ${tls ? 'https' : 'http'}: manifest, blob, range and HEADs`, async (t) => {
      const { registry, upstream, image, layer, size } = await setUp(t, profile, tls);
      const identity: Identity = profile === 'basic' ? { kind: 'configured', account: 'bot' } : { kind: 'anonymous' };
      const ask = async (method: 'GET' | 'HEAD', what: string, more: Partial<UpstreamRequest> = {}) => {
        const kind = what.startsWith('blobs') ? 'blob' : 'manifest';
        const path = `/v2/team/public/${what}`;
        for (const userAgent of ['docker/29.0', 'podman/5.8']) {
          const request = pull({ kind, method, path, repository: 'team/public', identity, userAgent, ...more });
          const { status, headers, body } = await upstream.request(request);
          const bytes = Buffer.concat(await body.toArray());
          if (userAgent.startsWith('podman')) return { status, headers, bytes };
        }
        throw new Error('unreachable');
      };
      const head = await ask('HEAD', 'manifests/latest', { accept: ACCEPT });
      t.is(head.status, 200);
      t.is(head.headers['docker-content-digest'], image.digest);
      const manifest = await ask('GET', `manifests/${image.digest}`, { accept: ACCEPT });
      t.is<string, string>(digestOf(manifest.bytes), image.digest);
      const blob = await ask('GET', `blobs/${layer}`);
      t.is<string, string>(digestOf(blob.bytes), layer);
      const blobHead = await ask('HEAD', `blobs/${layer}`);
      t.deepEqual([blobHead.status, blobHead.headers['content-length']], [200, String(size)]);
      const part = await ask('GET', `blobs/${layer}`, { range: { start: 1_000, end: 1_010 } });
      t.is(part.status, 206);
      t.deepEqual(part.bytes, blob.bytes.subarray(1_000, 1_010));
      const absent = await ask('GET', `blobs/${digestOf(Buffer.from('absent'))}`);
      t.is(absent.status, 404);
      for (const role of registry.roles.filter((role) => role === 'cdn' || (role === 'origin' && profile === 'k8s'))) {
        t.deepEqual(registry.authorizations(role), []);
      }
    });
  }
}

for (const profile of ['hub', 'ghcr', 'quay', 'gar', 'basic'] as const) {
  test(`a private image of ${profile} opens to its user, by our account or by the client’s own login, and to nobody else`, async (t) => {
    const { upstream } = await setUp(t, profile, true);
    const request = (identity: Identity) =>
      upstream.request(
        pull({ path: '/v2/team/private/manifests/latest', repository: 'team/private', identity, accept: ACCEPT }),
      );
    for (let n = 0; n < 2; n += 1) {
      t.true([401, 403, 404].includes((await request({ kind: 'anonymous' })).status));
      t.is((await request({ kind: 'configured', account: 'bot' })).status, 200);
    }
    let authorization = ALICE;
    if (profile !== 'basic') {
      const query = new URLSearchParams({ scope: 'repository:team/private:pull' });
      const relay = { method: 'GET', query, authorization: ALICE, signal: new AbortController().signal } as const;
      const { status, bytes } = await upstream.token(relay);
      t.is(status, 200);
      const document = JSON.parse(Buffer.from(bytes).toString());
      authorization = `Bearer ${document.token ?? document.access_token}`;
    }
    t.is((await request({ kind: 'forward', authorization, principal: 'alice' })).status, 200);
    const stranger = { kind: 'forward', authorization: 'Bearer of-nobody', principal: 'x' } as const;
    t.true([401, 403].includes((await request(stranger)).status));
  });
}

test('a token refused after it expired is replaced without the caller noticing', async (t) => {
  const { registry, upstream } = await setUp(t, 'hub', true);
  const request = pull({ path: '/v2/team/public/manifests/latest', repository: 'team/public', accept: ACCEPT });
  t.is((await upstream.request(request)).status, 200);
  registry.expireTokens();
  t.is((await upstream.request(request)).status, 200);
  t.is(registry.tokensIssued, 2);
});
