import anyTest, { type TestFn } from 'ava';
import { MediaType } from '../../src/oci/media-type.ts';
import type { TestGateway } from '../support/gateway.ts';
import { codeOf, pushArtifact, pushBlob, type Sent, send, startHosting } from './stage.ts';

const test = anyTest as TestFn<{ gateway: TestGateway; origin: string }>;

test.before(async (t) => {
  const gateway = await startHosting([], { delete: ['team/open/**', 'team/tags*'] });
  Object.assign(t.context, { gateway, origin: gateway.own });
});

test.after.always(async ({ context: { gateway } }) => gateway[Symbol.asyncDispose]());

async function tagsOf(origin: string, repository: string): Promise<unknown> {
  const { body } = await send(origin, 'GET', `/v2/${repository}/tags/list`);
  return (JSON.parse(body.toString()) as { tags: unknown }).tags;
}

test('nothing is deleted where hosted.delete does not say so', async (t) => {
  const { origin } = t.context;
  const digest = await pushArtifact(origin, 'team/kept', 'v1');
  const blob = await pushBlob(origin, 'team/kept', 'stays');
  for (const path of ['manifests/v1', `manifests/${digest}`, `blobs/${blob}`]) {
    const refused = await send(origin, 'DELETE', `/v2/team/kept/${path}`);
    t.deepEqual([refused.status, codeOf(refused)], [405, 'UNSUPPORTED'], path);
    t.regex(refused.body.toString(), /hosted\.delete/);
    t.is((await send(origin, 'HEAD', `/v2/team/kept/${path}`)).status, 200, path);
  }
});

test('a tag is deleted alone: what it meant, and its other tags, stay', async (t) => {
  const { origin } = t.context;
  const digest = await pushArtifact(origin, 'team/open/a', 'v1');
  await pushArtifact(origin, 'team/open/a', 'v2');
  t.is((await send(origin, 'DELETE', '/v2/team/open/a/manifests/v1')).status, 202);
  t.is((await send(origin, 'GET', '/v2/team/open/a/manifests/v1')).status, 404);
  t.deepEqual(await tagsOf(origin, 'team/open/a'), ['v2']);
  t.is((await send(origin, 'GET', `/v2/team/open/a/manifests/${digest}`)).status, 200);
  const again = await send(origin, 'DELETE', '/v2/team/open/a/manifests/v1');
  t.deepEqual([again.status, codeOf(again)], [404, 'MANIFEST_UNKNOWN']);
});

test('a manifest goes with every tag that means it, and with no other', async (t) => {
  const { origin } = t.context;
  const many = Array.from({ length: 70 }, (_, index) => `t${index}`);
  const digest = await pushArtifact(origin, 'team/tags', `?${many.map((tag) => `tag=${tag}`).join('&')}`);
  await pushArtifact(origin, 'team/tags', 'other', { annotations: { other: 'yes' } });
  await pushArtifact(origin, 'team/tags', 't7', { annotations: { other: 'yes' } });
  t.is((await send(origin, 'DELETE', `/v2/team/tags/manifests/${digest}`)).status, 202);
  t.deepEqual(await tagsOf(origin, 'team/tags'), ['other', 't7']);
  t.is((await send(origin, 'GET', `/v2/team/tags/manifests/${digest}`)).status, 404);
  t.is((await send(origin, 'DELETE', `/v2/team/tags/manifests/${digest}`)).status, 404);
});

test('a manifest leaves the list of referrers, and its subject the list as it is', async (t) => {
  const { origin } = t.context;
  const image = await pushArtifact(origin, 'team/open/refs', 'v1');
  const subject = { mediaType: MediaType.ociManifest, digest: image, size: 1 };
  const [one, two] = [
    await pushArtifact(origin, 'team/open/refs', '', { subject, artifactType: 'a/one' }),
    await pushArtifact(origin, 'team/open/refs', '', { subject, artifactType: 'a/two' }),
  ];
  const listed = async (): Promise<string[]> => {
    const { body }: Sent = await send(origin, 'GET', `/v2/team/open/refs/referrers/${image}`);
    return (JSON.parse(body.toString()) as { manifests: { digest: string }[] }).manifests.map(({ digest }) => digest);
  };
  t.deepEqual(await listed(), [one, two].sort());
  t.is((await send(origin, 'DELETE', `/v2/team/open/refs/manifests/${one}`)).status, 202);
  t.is((await send(origin, 'DELETE', `/v2/team/open/refs/manifests/${image}`)).status, 202);
  t.deepEqual(await listed(), [two]);
});

test('a blob goes from its repository alone, and what is deleted everywhere cannot be mounted any more', async (t) => {
  const { origin } = t.context;
  const digest = await pushBlob(origin, 'team/open/one', 'in two places');
  const mount = async (repository: string): Promise<number> =>
    (await send(origin, 'POST', `/v2/${repository}/blobs/uploads/?mount=${digest}`)).status;
  t.is(await mount('team/open/two'), 201);
  const drop = async (repository: string): Promise<number> =>
    (await send(origin, 'DELETE', `/v2/${repository}/blobs/${digest}`)).status;
  t.is(await drop('team/open/two'), 202);
  t.is((await send(origin, 'HEAD', `/v2/team/open/two/blobs/${digest}`)).status, 404);
  t.is((await send(origin, 'HEAD', `/v2/team/open/one/blobs/${digest}`)).status, 200);
  t.is(await drop('team/open/two'), 404);
  t.is(await drop('team/open/one'), 202);
  t.is(await mount('team/open/three'), 202);
});

test('a manifest is not deleted as a blob', async (t) => {
  const { origin } = t.context;
  const digest = await pushArtifact(origin, 'team/open/manifest', 'v1');
  const refused = await send(origin, 'DELETE', `/v2/team/open/manifest/blobs/${digest}`);
  t.is(refused.status, 405);
  t.is((await send(origin, 'GET', '/v2/team/open/manifest/manifests/v1')).status, 200);
});

test('what was deleted stays deleted after a restart, and can be pushed again', async (t) => {
  const gateway = await startHosting([], { delete: ['**'] });
  t.teardown(() => gateway[Symbol.asyncDispose]());
  const digest = await pushArtifact(gateway.own, 'myapp', 'v1');
  await send(gateway.own, 'DELETE', `/v2/myapp/manifests/${digest}`);
  await gateway.restart();
  t.is((await send(gateway.own, 'GET', `/v2/myapp/manifests/${digest}`)).status, 404);
  t.is(await pushArtifact(gateway.own, 'myapp', 'v1'), digest);
  t.is((await send(gateway.own, 'GET', '/v2/myapp/manifests/v1')).status, 200);
});
