import { open } from 'node:fs/promises';
import { join } from 'node:path';
import anyTest, { type TestFn } from 'ava';
import { bearer, urlOf } from '../pull/doors.ts';
import { makeBlob } from '../support/content.ts';
import { TestGateway } from '../support/gateway.ts';
import { blobsOf, makeImage } from '../support/image.ts';
import { type FakeUpstream, startUpstream } from '../support/upstream/upstream.ts';
import { digestOf, eventually, filesIn, pushBlob, send, startHosting } from './stage.ts';

const test = anyTest as TestFn<{ hub: FakeUpstream; gateway: TestGateway; origin: string }>;

test.before(async (t) => {
  const hub = await startUpstream({ profile: 'hub', tls: false, users: { ada: 'of-ada' } });
  const gateway = await startHosting([hub]);
  Object.assign(t.context, { hub, gateway, origin: gateway.own });
});

test.after.always(async ({ context: { gateway, hub } }) => {
  await gateway[Symbol.asyncDispose]();
  await hub.close();
});

/** Asks for a mount and returns its status. */
async function mount(origin: string, repository: string, digest: string, from?: string): Promise<number> {
  const query = `mount=${encodeURIComponent(digest)}${from === undefined ? '' : `&from=${from}`}`;
  const { status, headers } = await send(origin, 'POST', `/v2/${repository}/blobs/uploads/?${query}`);
  const isThere = (await send(origin, 'HEAD', `/v2/${repository}/blobs/${digest}`)).status === 200;
  const place = status === 201 ? `/v2/${repository}/blobs/${digest}` : `/v2/${repository}/blobs/uploads/`;
  if (isThere !== (status === 201) || !headers.location?.startsWith(place)) throw new Error(`${status}, ${isThere}`);
  return status;
}

test('a blob of another hosted repository is mounted, from where it is and from nowhere else', async (t) => {
  const { origin } = t.context;
  const digest = await pushBlob(origin, 'team/source', 'to be mounted');
  t.is(await mount(origin, 'team/target1', digest, 'team/source'), 201);
  t.is(await mount(origin, 'team/target2', digest, 'team/nowhere'), 202);
  t.is(await mount(origin, 'team/target3', digest, 'NOT/A/NAME'), 202);
  t.is(await mount(origin, 'team/target4', digest, 'team/target1'), 201);
  t.is(await mount(origin, 'team/target5', digestOf('never pushed'), 'team/source'), 202);
});

test('a mount without a source finds the blob wherever it is hosted', async (t) => {
  const { origin } = t.context;
  const digest = await pushBlob(origin, 'team/some', 'somewhere');
  t.is(await mount(origin, 'myapp', digest), 201);
  t.is(await mount(origin, 'myapp', digestOf('nowhere')), 202);
});

test('a mount of a digest that cannot be verified is refused', async (t) => {
  const { origin } = t.context;
  const sent = await send(origin, 'POST', '/v2/myapp/blobs/uploads/?mount=sha256:xyz&from=team/some');
  t.is(sent.status, 400);
});

test('a public blob that was cached is mounted without being sent, and stays when the cache goes', async (t) => {
  const { origin, gateway, hub } = t.context;
  const blob = makeBlob('cached in public', 700_000);
  hub.addBlob('library/base', blob);
  t.is(await mount(origin, 'team/early', blob.digest, 'docker.io/library/base'), 202);
  t.is((await send(origin, 'GET', `/v2/docker.io/library/base/blobs/${blob.digest}`)).status, 200);
  const path = `blobs/sha256/${blob.digest.slice(7, 9)}/${blob.digest.slice(7)}`;
  await eventually(async () => (await filesIn(gateway, 'cache'))[path]);
  t.is(await mount(origin, 'team/named', blob.digest, 'docker.io/library/base'), 201);
  t.is(await mount(origin, 'team/short', blob.digest, 'library/base'), 201);
  t.is(await mount(origin, 'team/wrong', blob.digest, 'docker.io/library/other'), 202);
  t.is((await filesIn(gateway, 'hosted'))[path], 700_000);
  const { body } = await send(origin, 'GET', `/v2/team/named/blobs/${blob.digest}`);
  t.is(digestOf(body), blob.digest);
});

test('a public cached blob is found by a mount without a source, too', async (t) => {
  const { origin, hub } = t.context;
  const blob = makeBlob('anywhere in public', 3000);
  hub.addBlob('library/base', blob);
  await send(origin, 'GET', `/v2/docker.io/library/base/blobs/${blob.digest}`);
  t.is(await eventually(async () => (await mount(origin, 'team/found', blob.digest)) === 201), true);
});

test('what was cached for somebody with a right of their own is lent to nobody else', async (t) => {
  const { origin, gateway, hub } = t.context;
  const image = makeImage();
  hub.add('acme/private', image, { access: ['ada'] });
  const [digest = ''] = blobsOf(image);
  const headers = await bearer(gateway.client, 'docker.io', 'acme/private', { username: 'ada', password: 'of-ada' });
  const pulled = await gateway.client.request(
    urlOf(gateway, 'transparent', 'docker.io', 'acme/private', `blobs/${digest}`),
    { headers },
  );
  t.is(pulled.status, 200);
  await eventually(async () =>
    Object.keys(await filesIn(gateway, 'cache')).some((path) => path.endsWith(digest.slice(7))),
  );
  t.is(await mount(origin, 'team/thief', digest, 'docker.io/acme/private'), 202);
  t.is(await mount(origin, 'team/thief', digest), 202);
});

test('an upstream with rules lends nothing, whatever they say', async (t) => {
  const { hub } = t.context;
  const gateway = await TestGateway.start({
    upstreams: [hub],
    settings: { 'docker.io': { deny: ['library/secret'] } },
    config: { hosted: { repositories: ['team/**'], push: 'anyone' } },
  });
  t.teardown(() => gateway[Symbol.asyncDispose]());
  const blob = makeBlob('beside what is denied', 3000);
  hub.addBlob('library/base', blob);
  t.is((await send(gateway.own, 'GET', `/v2/library/base/blobs/${blob.digest}`)).status, 200);
  const hex = blob.digest.slice('sha256:'.length);
  const isKept = (paths: readonly string[]): boolean =>
    ['blobs/', 'public/', 'repositories/'].every((part) =>
      paths.some((path) => path.startsWith(part) && path.endsWith(hex)),
    );
  await eventually(async () => isKept(Object.keys(await filesIn(gateway, 'cache'))));
  t.is(await mount(gateway.own, 'team/a', blob.digest, 'library/base'), 202);
});

test('a cached blob whose file is damaged is not mounted', async (t) => {
  const { origin, gateway, hub } = t.context;
  const blob = makeBlob('damaged in the cache', 300_000);
  hub.addBlob('library/base', blob);
  await send(origin, 'GET', `/v2/docker.io/library/base/blobs/${blob.digest}`);
  const hex = blob.digest.slice('sha256:'.length);
  const path = `blobs/sha256/${hex.slice(0, 2)}/${hex}`;
  await eventually(async () => (await filesIn(gateway, 'cache'))[path]);
  await eventually(async () =>
    Object.keys(await filesIn(gateway, 'cache')).some((file) => file.startsWith('repositories/') && file.endsWith(hex)),
  );
  await using file = await open(join(gateway.dir, 'data', 'cache', path), 'r+');
  await file.write(Buffer.from('wrong'), 0, 5, 200_000);
  t.is(await mount(origin, 'team/damaged', blob.digest, 'library/base'), 202);
  t.is((await filesIn(gateway, 'hosted'))[path], undefined);
});
