import anyTest, { type TestFn } from 'ava';
import { MediaType } from '../../src/oci/media-type.ts';
import { ADA, Registry, smallImage, USERS } from '../auth/scene.ts';
import { TestGateway } from '../support/gateway.ts';
import { startUpstream } from '../support/upstream/upstream.ts';
import { codeOf, digestOf, EMPTY_CONFIG, eventually, pushArtifact, type Sent, send, startHosting } from './stage.ts';

const test = anyTest as TestFn<{ gateway: TestGateway; origin: string }>;

test.before(async (t) => {
  const gateway = await startHosting();
  Object.assign(t.context, { gateway, origin: gateway.own });
});

test.after.always(async ({ context: { gateway } }) => gateway[Symbol.asyncDispose]());

/** Follows every Link from `path` on; the entries of each page. */
async function pages(origin: string, path: string, key: string): Promise<unknown[][]> {
  const found: unknown[][] = [];
  for (let next: string | undefined = path; next !== undefined; ) {
    const answer: Sent = await send(origin, 'GET', next);
    found.push((JSON.parse(answer.body.toString()) as Record<string, unknown[]>)[key] ?? []);
    next = /^<([^>]*)>; rel="next"$/.exec(String(answer.headers.link))?.[1];
  }
  return found;
}

test('tags are listed in byte order, in pages as large as asked for', async (t) => {
  const { origin } = t.context;
  const tags = ['v10', 'v2', 'V2', '_x', 'A', 'a', '0', 'a.b', 'a-b', 'v1'];
  for (const tag of tags) await pushArtifact(origin, 'team/tags', tag);
  const sorted = [...tags].sort();
  const path = '/v2/team/tags/tags/list';
  const all = await send(origin, 'GET', path);
  t.deepEqual(JSON.parse(all.body.toString()), { name: 'team/tags', tags: sorted });
  t.like(all.headers, { 'content-type': 'application/json', link: undefined });
  t.deepEqual(await pages(origin, `${path}?n=4`, 'tags'), [sorted.slice(0, 4), sorted.slice(4, 8), sorted.slice(8)]);
  t.deepEqual(await pages(origin, `${path}?n=5`, 'tags'), [sorted.slice(0, 5), sorted.slice(5)]);
  t.deepEqual(await pages(origin, `${path}?n=10`, 'tags'), [sorted]);
  t.deepEqual(await pages(origin, `${path}?n=0`, 'tags'), [[]]);
  t.deepEqual(await pages(origin, `${path}?last=B`, 'tags'), [sorted.filter((tag) => tag > 'B')]);
  t.is((await send(origin, 'HEAD', path)).status, 200);
  const wrong = await send(origin, 'GET', `${path}?n=x`);
  t.deepEqual([wrong.status, codeOf(wrong)], [400, 'PAGINATION_NUMBER_INVALID']);
});

test('a repository to which nothing was pushed is unknown, one without tags has none', async (t) => {
  const { origin } = t.context;
  const unknown = await send(origin, 'GET', '/v2/team/nothing/tags/list');
  t.deepEqual([unknown.status, codeOf(unknown)], [404, 'NAME_UNKNOWN']);
  await pushArtifact(origin, 'team/untagged', '');
  t.deepEqual(await pages(origin, '/v2/team/untagged/tags/list', 'tags'), [[]]);
});

test('the catalog names what was pushed, in byte order and in pages', async (t) => {
  const gateway = await startHosting();
  t.teardown(() => gateway[Symbol.asyncDispose]());
  const origin = gateway.own;
  t.deepEqual(await pages(origin, '/v2/_catalog', 'repositories'), [[]]);
  const names = ['team/b', 'team/a', 'myapp', 'team/a/b', 'team/a-b'];
  for (const name of names) await pushArtifact(origin, name, 'latest');
  const sorted = [...names].sort();
  t.deepEqual(await pages(origin, '/v2/_catalog', 'repositories'), [sorted]);
  t.deepEqual(await pages(origin, '/v2/_catalog?n=2', 'repositories'), [
    sorted.slice(0, 2),
    sorted.slice(2, 4),
    sorted.slice(4),
  ]);
  await gateway.restart();
  t.deepEqual(await pages(gateway.own, '/v2/_catalog?last=team/a', 'repositories'), [sorted.slice(2)]);
});

test('the catalog names what is cached and public too, and nothing that is private or forbidden by a rule', async (t) => {
  const upstream = await startUpstream({ profile: 'hub', users: USERS, tls: false });
  t.teardown(() => upstream.close());
  const settings = { 'docker.io': { deny: ['library/denied'] } };
  const hosted = { repositories: ['team/**', 'myapp'], push: 'anyone' };
  const gateway = await TestGateway.start({ upstreams: [upstream], settings, config: { hosted } });
  t.teardown(() => gateway[Symbol.asyncDispose]());
  using registry = new Registry('hub', gateway);
  const image = smallImage('catalog');
  for (const name of ['library/b', 'library/a', 'library/denied']) upstream.add(name, image);
  upstream.add('acme/private', image, { access: ['ada'] });
  const ada = await registry.token(['acme/private'], ADA);
  t.is((await registry.get('acme/private', 'manifests/latest', ada)).status, 200);
  for (const name of ['library/b', 'library/a', 'library/denied']) {
    t.is((await registry.ask('path', 'GET', name, 'manifests/latest')).status, name.endsWith('denied') ? 403 : 200);
  }
  for (const name of ['team/app', 'myapp']) await pushArtifact(gateway.own, name, 'latest');
  const all = ['docker.io/library/a', 'docker.io/library/b', 'myapp', 'team/app'];
  await eventually(async () => (await pages(gateway.own, '/v2/_catalog', 'repositories'))[0]?.length === all.length);
  t.deepEqual(await pages(gateway.own, '/v2/_catalog', 'repositories'), [all]);
  t.deepEqual(await pages(gateway.own, '/v2/_catalog?n=3', 'repositories'), [all.slice(0, 3), all.slice(3)]);
  t.deepEqual(await pages(gateway.own, '/v2/_catalog?last=docker.io/library/a', 'repositories'), [all.slice(1)]);
});

test('where the page of what is cached is not for everybody, the catalog names what is hosted alone', async (t) => {
  const upstream = await startUpstream({ profile: 'hub', tls: false });
  t.teardown(() => upstream.close());
  upstream.add('library/a', smallImage('kept apart'));
  const hosted = { repositories: ['myapp'], push: 'anyone' };
  const gateway = await TestGateway.start({ upstreams: [upstream], config: { hosted, page: 'admin' } });
  t.teardown(() => gateway[Symbol.asyncDispose]());
  t.is((await send(gateway.own, 'GET', '/v2/docker.io/library/a/manifests/latest')).status, 200);
  await pushArtifact(gateway.own, 'myapp', 'latest');
  await eventually(async () => (await send(gateway.admin, 'GET', '/status.json')).body.includes('library/a'));
  t.deepEqual(await pages(gateway.own, '/v2/_catalog', 'repositories'), [['myapp']]);
});

test('what names a subject is listed with its type and annotations, before and after the subject comes', async (t) => {
  const { origin } = t.context;
  const subject = await pushArtifact(t.context.origin, 'team/refs', 'image');
  const to = { subject: { mediaType: MediaType.ociManifest, digest: subject, size: 1 } };
  const signature = await pushArtifact(origin, 'team/refs', '', {
    ...to,
    artifactType: 'application/signature',
    annotations: { by: 'ada' },
  });
  const sbom = await pushArtifact(origin, 'team/refs', '', { ...to, annotations: { of: 'image' } });
  const path = `/v2/team/refs/referrers/${subject}`;
  const { headers, body } = await send(origin, 'GET', path);
  t.like(headers, { 'content-type': MediaType.ociIndex, 'oci-filters-applied': undefined, link: undefined });
  const list = JSON.parse(body.toString()) as { manifests: { digest: string; size: number }[] };
  t.like(list, { schemaVersion: 2, mediaType: MediaType.ociIndex });
  const of = (digest: string): object | undefined => list.manifests.find((found) => found.digest === digest);
  t.is(list.manifests.length, 2);
  t.like(of(signature), {
    mediaType: MediaType.ociManifest,
    artifactType: 'application/signature',
    annotations: { by: 'ada' },
  });
  t.like(of(sbom), { artifactType: EMPTY_CONFIG, annotations: { of: 'image' } });
  for (const { digest, size } of list.manifests) {
    t.is((await send(origin, 'GET', `/v2/team/refs/manifests/${digest}`)).body.length, size);
  }
  const filtered = await send(origin, 'GET', `${path}?artifactType=application%2Fsignature`);
  t.is(filtered.headers['oci-filters-applied'], 'artifactType');
  t.deepEqual(await pages(origin, `${path}?artifactType=application/signature`, 'manifests'), [[of(signature)]]);
  t.deepEqual(await pages(origin, `${path}?artifactType=none/such`, 'manifests'), [[]]);
});

test('what nobody refers to has an empty list, in whichever repository', async (t) => {
  const { origin } = t.context;
  for (const repository of ['team/refs', 'team/never'])
    t.deepEqual(await pages(origin, `/v2/${repository}/referrers/${digestOf('x')}`, 'manifests'), [[]]);
  t.is((await send(origin, 'GET', '/v2/team/refs/referrers/sha256:xyz')).status, 400);
});

test('a list of referrers that gets too large goes on in another page, with the filter', async (t) => {
  const { origin } = t.context;
  const subject = { mediaType: MediaType.ociManifest, digest: digestOf('large'), size: 5 };
  const filler = 'x'.repeat(1_500_000);
  const pushed: string[] = [];
  for (const index of [1, 2, 3]) {
    const annotations = { filler, index: String(index) };
    pushed.push(await pushArtifact(origin, 'team/long', '', { subject, annotations, artifactType: 'a/b' }));
  }
  const found = await pages(origin, `/v2/team/long/referrers/${digestOf('large')}?artifactType=a/b`, 'manifests');
  t.deepEqual(
    found.map((page) => page.length),
    [2, 1],
  );
  t.deepEqual(
    found.flat().map((one) => (one as { digest: string }).digest),
    [...pushed].sort(),
  );
});
