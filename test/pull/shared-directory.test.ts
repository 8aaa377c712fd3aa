import { EventEmitter, on, once } from 'node:events';
import { join } from 'node:path';
import anyTest, { type TestFn } from 'ava';
import { type Blob, makeBlob } from '../support/content.ts';
import { TestGateway } from '../support/gateway.ts';
import { type FakeUpstream, startUpstream } from '../support/upstream/upstream.ts';
import { bearer, blobPath, eventually, settledOnDisk, urlOf } from './doors.ts';

/** Two gateways on one directory: what several processes are to each other. */
interface Stage {
  readonly hub: FakeUpstream;
  readonly quay: FakeUpstream;
  readonly one: TestGateway;
  readonly other: TestGateway;
}

const test = anyTest as TestFn<Stage>;
const ADA = { username: 'ada', password: 'secret-of-ada' };

test.before(async (t) => {
  const hub = await startUpstream({ profile: 'hub', tls: false, users: { ada: ADA.password } });
  const quay = await startUpstream({ profile: 'quay', tls: false });
  const one = await TestGateway.start({ upstreams: [hub, quay] });
  const root = join(one.dir, 'data');
  const other = await TestGateway.start({ upstreams: [hub, quay], config: { storage: { root } } });
  Object.assign(t.context, { hub, quay, one, other });
});

test.after.always(async ({ context: { one, other, hub, quay } }) => {
  await Promise.all([one[Symbol.asyncDispose](), other[Symbol.asyncDispose]()]);
  await Promise.all([hub.close(), quay.close()]);
});

function downloads({ hub, quay }: Stage, { digest }: Blob): number {
  const where = { role: 'cdn', method: 'GET', reference: digest } as const;
  return hub.count(where) + quay.count(where);
}

/** An owner's pull through `one` of what is half there, and what its end depends on. */
async function beginAsAda(
  { hub, one }: Stage,
  repository: string,
  blob: Blob,
  fault: { stallAfter: number; cutAfter?: number },
): Promise<{ pulling: ReturnType<TestGateway['client']['request']>; release(): void }> {
  hub.repositories.open(repository, ['ada']);
  hub.addBlob(repository, blob);
  const slow = hub.fault({ role: 'cdn', reference: blob.digest, times: 1 }, fault);
  const headers = await bearer(one.client, 'docker.io', repository, ADA);
  const head = new EventEmitter();
  const url = urlOf(one, 'transparent', 'docker.io', repository, `blobs/${blob.digest}`);
  const pulling = one.client.request(url, { headers, onHead: () => head.emit('head') });
  await once(head, 'head');
  return { pulling, release: () => slow.release() };
}

test('clients of two gateways on one directory share one fetch of a cold blob', async (t) => {
  const { hub, one, other } = t.context;
  const blob = makeBlob('shared by two gateways', 400_000);
  hub.addBlob('library/shared', blob);
  const stall = hub.fault({ role: 'cdn', reference: blob.digest }, { stallAfter: 150_000 });
  const begun = new EventEmitter();
  let heads = 0;
  const pulling = Array.from({ length: 32 }, (_, index) => {
    const gateway = index % 2 === 0 ? one : other;
    const url = urlOf(gateway, 'path', 'docker.io', 'library/shared', `blobs/${blob.digest}`);
    return gateway.client.request(url, { discard: true, onHead: () => begun.emit('head') });
  });
  for await (const _ of on(begun, 'head')) if (++heads === pulling.length) break;
  stall.release();
  const answers = await Promise.all(pulling);
  for (const { status, complete, digest } of answers) {
    t.deepEqual([status, complete, digest], [200, true, blob.digest]);
  }
  t.is(downloads(t.context, blob), 1);
  const statuses = answers.map(({ headers }) => headers['cache-status']);
  t.is(statuses.filter((status) => status === 'Layover; fwd=uri-miss; stored').length, 1);
  t.is(statuses.filter((status) => status === 'Layover; fwd=uri-miss; collapsed').length, pulling.length - 1);
  t.deepEqual(await settledOnDisk(one, blob.digest), [blobPath(blob.digest)]);
});

test('who joins the fill of another gateway is authorised by itself, and nobody else gets a byte', async (t) => {
  const { hub, quay, other } = t.context;
  const blob = makeBlob('half secret', 300_000);
  hub.addBlob('library/open', blob);
  quay.addBlob('library/own', blob);
  const owner = await beginAsAda(t.context, 'acme/closed', blob, { stallAfter: 100_000 });
  const from = (namespace: string, repository: string): string =>
    urlOf(other, 'path', namespace, repository, `blobs/${blob.digest}`);
  for (const [namespace, repository] of [
    ['docker.io', 'acme/closed'],
    ['docker.io', 'library/without'],
    ['quay.io', 'library/open'],
  ] as const) {
    const stranger = await other.client.request(from(namespace, repository));
    t.is(stranger.status, 404, `${namespace}/${repository}`);
    t.false(stranger.body.includes(blob.content.read(0, 16)));
  }
  const head = new EventEmitter();
  const joiners = [from('docker.io', 'library/open'), from('quay.io', 'library/own')].map((url) =>
    other.client.request(url, { onHead: () => head.emit('joined') }),
  );
  let joined = 0;
  for await (const _ of on(head, 'joined')) if (++joined === joiners.length) break;
  owner.release();
  for (const { digest, complete } of await Promise.all([owner.pulling, ...joiners])) {
    t.deepEqual([digest, complete], [blob.digest, true]);
  }
  t.is(downloads(t.context, blob), 1);
  for (const [upstream, repository] of [
    [hub, 'library/open'],
    [quay, 'library/own'],
  ] as const) {
    const proofs = upstream.requests.filter(
      (request) => request.method === 'HEAD' && request.repository === repository && (request.status ?? 500) < 400,
    );
    t.true(proofs.length > 0, repository);
  }
});

test('a fill whose owner loses its rights is gone on with by who has rights at another gateway', async (t) => {
  const { hub, other } = t.context;
  const blob = makeBlob('rights that end', 300_000);
  hub.addBlob('library/lasting', blob);
  const owner = await beginAsAda(t.context, 'acme/closing', blob, { stallAfter: 100_000, cutAfter: 100_000 });
  const head = new EventEmitter();
  const url = urlOf(other, 'path', 'docker.io', 'library/lasting', `blobs/${blob.digest}`);
  const joiner = other.client.request(url, { onHead: () => head.emit('joined') });
  await once(head, 'joined');
  hub.repositories.open('acme/closing').access = [];
  hub.expireTokens();
  hub.expireUrls();
  owner.release();
  const { digest, complete } = await joiner;
  t.deepEqual([digest, complete], [blob.digest, true]);
  t.false((await owner.pulling).complete);
  t.is(downloads(t.context, blob), 2);
  const ranges = await eventually(
    () => hub.requests.filter(({ role, status, headers }) => role === 'cdn' && status === 206 && headers.range),
    (found) => found.length > 0,
  );
  t.true(ranges.some(({ headers }) => headers.range === 'bytes=100000-'));
});
