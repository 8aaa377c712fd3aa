import anyTest, { type ExecutionContext, type TestFn } from 'ava';
import { MediaType } from '../../src/oci/media-type.ts';
import type { TestGateway } from '../support/gateway.ts';
import { codeOf, digestOf, pushBlob, pushManifest, send, startHosting } from './stage.ts';

const test = anyTest as TestFn<{ gateway: TestGateway; origin: string }>;

test.before(async (t) => {
  const gateway = await startHosting();
  Object.assign(t.context, { gateway, origin: gateway.own });
});

test.after.always(async ({ context: { gateway } }) => gateway[Symbol.asyncDispose]());

/** An image of one layer in a repository, as text that nobody would write again in the same way. */
async function imageIn(origin: string, repository: string, word: string, more: object = {}): Promise<string> {
  const config = await pushBlob(origin, repository, `{"of":"${word}"}`);
  const layer = await pushBlob(origin, repository, `layer of ${word}`);
  const of = (digest: string, size: number, mediaType: string): object => ({ mediaType, digest, size });
  const manifest = {
    schemaVersion: 2,
    mediaType: MediaType.ociManifest,
    config: of(config, 10, 'application/vnd.oci.image.config.v1+json'),
    layers: [of(layer, 9, 'application/vnd.oci.image.layer.v1.tar')],
    ...more,
  };
  return JSON.stringify(manifest, undefined, 3);
}

test('a manifest that is pushed by tag is pulled by tag and by digest, byte by byte', async (t) => {
  const { origin } = t.context;
  const manifest = await imageIn(origin, 'myapp', 'one');
  const digest = digestOf(manifest);
  const pushed = await pushManifest(origin, 'myapp', 'v1', manifest);
  t.is(pushed.status, 201);
  t.is(pushed.headers.location, `/v2/myapp/manifests/${digest}`);
  t.is(pushed.headers['docker-content-digest'], digest);
  t.deepEqual([pushed.headers['oci-subject'], pushed.headers['oci-tag']], [undefined, undefined]);
  for (const reference of ['v1', digest]) {
    const pulled = await send(origin, 'GET', `/v2/myapp/manifests/${reference}`);
    t.is(pulled.body.toString(), manifest);
    t.like(pulled.headers, { 'content-type': MediaType.ociManifest, 'docker-content-digest': digest });
    const head = await send(origin, 'HEAD', `/v2/myapp/manifests/${reference}`);
    t.like(head.headers, { 'content-type': MediaType.ociManifest, 'content-length': String(manifest.length) });
  }
  const headers = { 'if-none-match': `"${digest}"` };
  t.is((await send(origin, 'GET', '/v2/myapp/manifests/v1', { headers })).status, 304);
});

test('a tag moves with the next push, and what it meant before stays under its digest', async (t) => {
  const { origin } = t.context;
  const [one, two] = [await imageIn(origin, 'team/moves', 'one'), await imageIn(origin, 'team/moves', 'two')];
  for (const manifest of [one, two, one]) {
    t.is((await pushManifest(origin, 'team/moves', 'latest', manifest)).status, 201);
    t.is((await send(origin, 'GET', '/v2/team/moves/manifests/latest')).body.toString(), manifest);
  }
  t.is((await send(origin, 'GET', `/v2/team/moves/manifests/${digestOf(two)}`)).status, 200);
});

test('a manifest by digest has the digest of its bytes, of either algorithm, and sets the tags it names', async (t) => {
  const { origin } = t.context;
  const manifest = await imageIn(origin, 'team/digest', 'one');
  for (const algorithm of ['sha256', 'sha512'] as const) {
    const digest = digestOf(manifest, algorithm);
    const tags = [`${algorithm}-a`, `${algorithm}-b`];
    const query = tags.map((tag) => `tag=${tag}`).join('&');
    const pushed = await pushManifest(origin, 'team/digest', `${digest}?${query}`, manifest);
    t.is(pushed.status, 201);
    t.is(pushed.headers['oci-tag'], tags.join(', '));
    for (const tag of tags) {
      const { headers } = await send(origin, 'HEAD', `/v2/team/digest/manifests/${tag}`);
      t.is(headers['docker-content-digest'], digest);
    }
  }
  const wrong = await pushManifest(origin, 'team/digest', digestOf('other'), manifest);
  t.deepEqual([wrong.status, codeOf(wrong)], [400, 'DIGEST_INVALID']);
  const tag = await pushManifest(origin, 'team/digest', `${digestOf(manifest)}?tag=a/b`, manifest);
  t.deepEqual([tag.status, codeOf(tag)], [400, 'TAG_INVALID']);
  const many = Array.from({ length: 101 }, (_, index) => `tag=t${index}`).join('&');
  t.is((await pushManifest(origin, 'team/digest', `${digestOf(manifest)}?${many}`, manifest)).status, 400);
});

test('everything that a manifest names has to be in its own repository', async (t) => {
  const { origin } = t.context;
  const manifest = await imageIn(origin, 'team/whole', 'parts');
  t.is((await pushManifest(origin, 'team/whole', 'v1', manifest)).status, 201);
  const elsewhere = await pushManifest(origin, 'team/lacking', 'v1', manifest);
  t.deepEqual([elsewhere.status, codeOf(elsewhere)], [400, 'MANIFEST_BLOB_UNKNOWN']);
  t.regex(elsewhere.body.toString(), /push sha256:[0-9a-f]{64}, sha256:[0-9a-f]{64} to team\/lacking first/);
  t.is((await send(origin, 'GET', '/v2/team/lacking/manifests/v1')).status, 404);
  const index = (digest: string): string =>
    JSON.stringify({
      schemaVersion: 2,
      mediaType: MediaType.ociIndex,
      manifests: [{ mediaType: MediaType.ociManifest, digest, size: 1 }],
    });
  const push = (digest: string): Promise<{ status: number }> =>
    pushManifest(origin, 'team/whole', 'all', index(digest), MediaType.ociIndex);
  t.is((await push(digestOf('no such image'))).status, 400);
  t.is((await push(digestOf(manifest))).status, 201);
  t.is((await push(digestOf(index(digestOf(manifest))))).status, 201);
});

test('schema 2 of Docker is kept as what it is', async (t) => {
  const { origin } = t.context;
  const mediaType = MediaType.dockerManifest;
  const manifest = await imageIn(origin, 'team/docker', 'schema 2', { mediaType });
  t.is((await pushManifest(origin, 'team/docker', 'v1', manifest, mediaType)).status, 201);
  const headers = { accept: MediaType.ociManifest };
  const pulled = await send(origin, 'GET', '/v2/team/docker/manifests/v1', { headers });
  t.deepEqual([pulled.headers['content-type'], pulled.body.toString()], [mediaType, manifest]);
});

test('a subject is named in the answer, whether it is there or not', async (t) => {
  const { origin } = t.context;
  const subject = { mediaType: MediaType.ociManifest, digest: digestOf('not there'), size: 9 };
  const manifest = await imageIn(origin, 'team/subject', 'signature', { subject });
  const pushed = await pushManifest(origin, 'team/subject', digestOf(manifest), manifest);
  t.deepEqual([pushed.status, pushed.headers['oci-subject']], [201, digestOf('not there')]);
});

test('a manifest may have 4 MiB and no byte more', async (t) => {
  const { origin } = t.context;
  const short = await imageIn(origin, 'team/large', 'x', { annotations: { filler: '' } });
  const filled = (size: number): string =>
    short.replace('"filler": ""', `"filler": "${'x'.repeat(size - short.length)}"`);
  const LIMIT = 4 << 20;
  t.is((await pushManifest(origin, 'team/large', 'most', filled(LIMIT))).status, 201);
  t.is((await send(origin, 'GET', '/v2/team/large/manifests/most')).body.length, LIMIT);
  const refused = await pushManifest(origin, 'team/large', 'more', filled(LIMIT + 1));
  t.deepEqual([refused.status, codeOf(refused)], [413, 'SIZE_INVALID']);
  const body = [Buffer.from(filled(LIMIT + 1))];
  const headers = { 'content-type': MediaType.ociManifest };
  t.is((await send(origin, 'PUT', '/v2/team/large/manifests/more', { body, headers })).status, 413);
});

test('what cannot be kept is a 400 that says why', async (t) => {
  const { origin } = t.context;
  const manifest = await imageIn(origin, 'team/refused', 'x');
  const refused = async (text: string, type: string | undefined, message: RegExp): Promise<void> => {
    const answer = await pushManifest(origin, 'team/refused', 'v1', text, type);
    t.deepEqual([answer.status, codeOf(answer)], [400, 'MANIFEST_INVALID'], text);
    t.regex(answer.body.toString(), message);
  };
  await refused('', MediaType.ociManifest, /not JSON/);
  await refused(manifest, MediaType.ociIndex, /mediaType: expected/);
  await refused(manifest.replace('{', '{"MediaType":"x",'), MediaType.ociManifest, /can be taken for/);
  t.is((await send(origin, 'GET', '/v2/team/refused/manifests/v1')).status, 404);
});

test('what is not there is a 404, and a blob is no manifest', async (t: ExecutionContext<{ origin: string }>) => {
  const { origin } = t.context;
  const blob = await pushBlob(origin, 'team/absent', 'a blob');
  for (const reference of ['latest', digestOf('nothing'), blob]) {
    const answer = await send(origin, 'GET', `/v2/team/absent/manifests/${reference}`);
    t.deepEqual([answer.status, codeOf(answer)], [404, 'MANIFEST_UNKNOWN'], reference);
  }
  t.is((await send(origin, 'GET', '/v2/team/never/manifests/latest')).status, 404);
  for (const method of ['DELETE', 'POST', 'PATCH'])
    t.is((await send(origin, method, '/v2/team/absent/manifests/latest')).status, 405, method);
});

test('a manifest that is pushed as a blob, too, goes on being a manifest', async (t) => {
  const { origin } = t.context;
  const manifest = await imageIn(origin, 'team/both', 'x');
  await pushManifest(origin, 'team/both', 'v1', manifest);
  t.is(await pushBlob(origin, 'team/both', manifest), digestOf(manifest));
  t.is((await send(origin, 'GET', '/v2/team/both/manifests/v1')).status, 200);
});

test('what was pushed is there after a restart', async (t) => {
  const gateway = await startHosting();
  t.teardown(() => gateway[Symbol.asyncDispose]());
  const manifest = await imageIn(gateway.own, 'team/a/b/c', 'x');
  await pushManifest(gateway.own, 'team/a/b/c', 'V1.0_x', manifest);
  await gateway.restart();
  t.is((await send(gateway.own, 'GET', '/v2/team/a/b/c/manifests/V1.0_x')).body.toString(), manifest);
  t.is((await send(gateway.own, 'GET', '/v2/team/a/b/c/manifests/v1.0_x')).status, 404);
});
