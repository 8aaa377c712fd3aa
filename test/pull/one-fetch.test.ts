import { EventEmitter, on, once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import anyTest, { type TestFn } from 'ava';
import { type Blob, makeBlob } from '../support/content.ts';
import { TestGateway } from '../support/gateway.ts';
import { type FakeUpstream, startUpstream } from '../support/upstream/upstream.ts';
import { bearer, blobPath, DOORS, eventually, settledOnDisk, urlOf } from './doors.ts';

interface Stage {
  readonly hub: FakeUpstream;
  readonly quay: FakeUpstream;
  readonly gateway: TestGateway;
}

const test = anyTest as TestFn<Stage>;
const ADA = { username: 'ada', password: 'secret-of-ada' };

test.before(async (t) => {
  const hub = await startUpstream({ profile: 'hub', tls: false, users: { ada: 'secret-of-ada' } });
  const quay = await startUpstream({ profile: 'quay', tls: false });
  const gateway = await TestGateway.start({ upstreams: [hub, quay] });
  Object.assign(t.context, { hub, quay, gateway });
});

test.after.always(async ({ context: { gateway, hub, quay } }) => {
  await gateway[Symbol.asyncDispose]();
  await Promise.all([hub.close(), quay.close()]);
});

/** Body bytes of one blob that the hosts of both upstreams handed out. */
function fetched({ hub, quay }: Stage, { digest }: Blob): number {
  return [hub, quay].reduce((sum, upstream) => sum + upstream.bytes({ role: 'cdn', reference: digest }), 0);
}

function downloads({ hub, quay }: Stage, { digest }: Blob): number {
  return [hub, quay].reduce(
    (sum, upstream) => sum + upstream.count({ role: 'cdn', method: 'GET', reference: digest }),
    0,
  );
}

for (const clients of [16, 64]) {
  test(`${clients} clients of all doors, two repositories and two upstreams share one fetch of a cold blob`, async (t) => {
    const { hub, quay, gateway } = t.context;
    const blob = makeBlob(`shared by ${clients}`, 400_000);
    const [first, second] = [`library/one-${clients}`, `library/two-${clients}`];
    for (const repository of [first, second]) hub.addBlob(repository, blob);
    quay.addBlob(first, blob);
    const where = { role: 'cdn', reference: blob.digest, method: 'GET' } as const;
    const stalls = [hub, quay].map((upstream) => upstream.fault(where, { stallAfter: 150_000 }));
    const begun = new EventEmitter();
    let heads = 0;
    const tokens = new Map<string, Record<string, string>>();
    for (const name of [first, second]) tokens.set(name, await bearer(gateway.client, 'docker.io', name));
    hub.reset();
    quay.reset();
    const pulling = Promise.all(
      Array.from({ length: clients }, async (_, index) => {
        const door = DOORS[index % 3] ?? 'path';
        const repository = index % 2 === 0 ? first : second;
        const namespace = door === 'path' && repository === first ? 'quay.io' : 'docker.io';
        const headers = door === 'transparent' ? tokens.get(repository) : undefined;
        return gateway.client.request(urlOf(gateway, door, namespace, repository, `blobs/${blob.digest}`), {
          discard: true,
          onHead: () => begun.emit('head'),
          ...(headers && { headers }),
        });
      }),
    );
    // The head of each answer comes with its first bytes, while the upstream still holds back the rest.
    for await (const _ of on(begun, 'head')) if (++heads === clients) break;
    for (const stall of stalls) stall.release();
    const answers = await pulling;
    for (const { status, complete, digest } of answers)
      t.deepEqual([status, complete, digest], [200, true, blob.digest]);
    t.is(downloads(t.context, blob), 1);
    t.is(fetched(t.context, blob), blob.content.size);
    const statuses = answers.map(({ headers }) => headers['cache-status']);
    t.is(statuses.filter((status) => status === 'Layover; fwd=uri-miss; stored').length, 1);
    t.is(statuses.filter((status) => status === 'Layover; fwd=uri-miss; collapsed').length, clients - 1);
    const proofs = (upstream: FakeUpstream, repository: string): number =>
      upstream.count({ role: 'registry', kind: 'blob', method: 'HEAD', repository, status: 307 });
    t.true(proofs(hub, first) <= 1 && proofs(hub, second) <= 1 && proofs(quay, first) <= 1, 'one HEAD each at most');
    t.deepEqual(await settledOnDisk(gateway, blob.digest), [blobPath(blob.digest)]);
  });
}

test('who joins a fill is authorised by itself, and nobody else gets a byte', async (t) => {
  const { hub, gateway } = t.context;
  const blob = makeBlob('half secret', 300_000);
  hub.addBlob('library/open', blob);
  hub.repositories.open('acme/closed', ['ada']);
  hub.addBlob('acme/closed', blob);
  const slow = hub.fault({ role: 'cdn', reference: blob.digest }, { stallAfter: 100_000 });
  const ada = await bearer(gateway.client, 'docker.io', 'acme/closed', ADA);
  const blobUrl = (door: 'transparent' | 'path', repository: string): string =>
    urlOf(gateway, door, 'docker.io', repository, `blobs/${blob.digest}`);
  const head = new EventEmitter();
  const owner = gateway.client.request(blobUrl('transparent', 'acme/closed'), {
    headers: ada,
    onHead: () => head.emit('head'),
  });
  await once(head, 'head');
  const stranger = await gateway.client.request(blobUrl('path', 'acme/closed'));
  t.is(stranger.status, 404);
  t.false(stranger.body.includes(blob.content.read(0, 16)));
  t.is((await gateway.client.request(blobUrl('transparent', 'acme/closed'))).status, 401);
  t.is((await gateway.client.request(blobUrl('path', 'library/without'))).status, 404);
  const joiner = gateway.client.request(blobUrl('path', 'library/open'), {
    onHead: () => head.emit('joined'),
  });
  await once(head, 'joined');
  slow.release();
  for (const { digest, complete } of await Promise.all([owner, joiner]))
    t.deepEqual([digest, complete], [blob.digest, true]);
  t.is(downloads(t.context, blob), 1);
  t.is(hub.count({ role: 'registry', kind: 'blob', method: 'HEAD', repository: 'library/open', status: 307 }), 1);
});

test.serial('who asks while a fill is just beginning is authorised by itself too', async (t) => {
  const { hub, gateway } = t.context;
  const blob = makeBlob('just beginning', 100_000);
  hub.repositories.open('acme/beginning', ['ada']);
  hub.addBlob('acme/beginning', blob);
  const slow = hub.fault({ role: 'cdn', method: 'GET', reference: blob.digest }, { hang: true });
  const blobUrl = (door: 'transparent' | 'path'): string =>
    urlOf(gateway, door, 'docker.io', 'acme/beginning', `blobs/${blob.digest}`);
  const owner = gateway.client.request(blobUrl('transparent'), {
    headers: await bearer(gateway.client, 'docker.io', 'acme/beginning', ADA),
  });
  await eventually(
    () => slow.hits,
    (hits) => hits === 1,
  );
  const stranger = gateway.client.request(blobUrl('path'));
  await sleep(150);
  slow.release();
  t.is((await owner).digest, blob.digest);
  const { status, body } = await stranger;
  t.is(status, 404);
  t.false(body.includes(blob.content.read(0, 16)));
});

test('a blob the store has is not fetched again because another repository names it', async (t) => {
  const { hub, quay, gateway } = t.context;
  const blob = makeBlob('everywhere', 90_000);
  for (const repository of ['library/here', 'library/there']) hub.addBlob(repository, blob);
  quay.addBlob('elsewhere', blob);
  for (const [namespace, repository] of [
    ['docker.io', 'library/here'],
    ['docker.io', 'library/there'],
    ['quay.io', 'elsewhere'],
    ['docker.io', 'library/there'],
  ] as const) {
    const answer = await gateway.client.request(urlOf(gateway, 'path', namespace, repository, `blobs/${blob.digest}`));
    t.is(answer.digest, blob.digest);
  }
  t.is(downloads(t.context, blob), 1);
  t.is(fetched(t.context, blob), blob.content.size);
});
