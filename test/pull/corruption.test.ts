import { EventEmitter, once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import anyTest, { type TestFn } from 'ava';
import fc from 'fast-check';
import { subscribe } from '../../src/events.ts';
import type { ClientResponse } from '../support/client.ts';
import { type Blob, makeBlob } from '../support/content.ts';
import { TestGateway } from '../support/gateway.ts';
import { makeImage, topOf } from '../support/image.ts';
import type { Effect } from '../support/upstream/fault.ts';
import { type FakeUpstream, startUpstream } from '../support/upstream/upstream.ts';
import { blobPath, eventually, onDisk, settledOnDisk, urlOf } from './doors.ts';

interface Stage {
  readonly hub: FakeUpstream;
  readonly quay: FakeUpstream;
  readonly gateway: TestGateway;
}

const test = anyTest as TestFn<Stage>;
const HELD_BACK = 64 << 10;
const MIB = 1 << 20;

test.before(async (t) => {
  const hub = await startUpstream({ profile: 'hub', tls: false });
  const quay = await startUpstream({ profile: 'quay', tls: false });
  Object.assign(t.context, { hub, quay, gateway: await TestGateway.start({ upstreams: [hub, quay] }) });
});

test.after.always(async ({ context: { gateway, hub, quay } }) => {
  await gateway[Symbol.asyncDispose]();
  await Promise.all([hub.close(), quay.close()]);
});

function pull({ gateway }: Stage, digest: string, namespace = 'docker.io'): Promise<ClientResponse> {
  return gateway.client.request(urlOf(gateway, 'path', namespace, 'library/nginx', `blobs/${digest}`));
}

/** A failed answer that a client can tell from content: an OCI error, or a body that ends before its length. */
function isFailure({ status, complete, headers, body }: ClientResponse): boolean {
  if (status === 200) return !complete;
  const { errors } = JSON.parse(body.toString()) as { errors?: readonly { code: string }[] };
  return (status === 502 || status === 504) && headers['content-type'] === 'application/json' && errors?.length === 1;
}

/** Pulls while `effect` is on, and again without it; tells what was wrong about it. */
async function endure(stage: Stage, blob: Blob, effect: Effect, method: 'GET' | 'HEAD' = 'GET'): Promise<string[]> {
  const { hub, gateway } = stage;
  hub.addBlob('library/nginx', blob);
  const fault = hub.fault({ role: 'cdn', reference: blob.digest, method }, effect);
  const wrong: string[] = [];
  const answer = await pull(stage, blob.digest);
  const isRight = answer.complete && answer.status === 200 && answer.digest === blob.digest;
  if (!isRight && !isFailure(answer)) wrong.push(`a complete answer ${answer.status} of ${answer.length} wrong bytes`);
  if (!isRight && blob.content.size <= HELD_BACK && answer.status === 200) wrong.push('not a clean error');
  if (!isRight) {
    const kept = await eventually(
      () => onDisk(gateway, blob.digest),
      (files) => effect.corruptAt === undefined || files.length === 0,
    );
    if (kept.includes(blobPath(blob.digest))) wrong.push('it was stored');
    if (effect.corruptAt !== undefined && kept.length > 0) wrong.push(`left ${kept.join(' ')}`);
  }
  fault.remove();
  const next = await pull(stage, blob.digest);
  if (next.status !== 200 || !next.complete || next.digest !== blob.digest) wrong.push(`the next pull: ${next.status}`);
  const settled = await settledOnDisk(gateway, blob.digest);
  if (settled.join() !== blobPath(blob.digest)) wrong.push(`in the end: ${settled.join(' ')}`);
  return wrong;
}

test('a flipped byte anywhere never reaches a client in a complete body, is not stored, and heals', async (t) => {
  const sizes = fc.oneof(
    fc.constantFrom(1, HELD_BACK - 1, HELD_BACK, HELD_BACK + 1, 2 * HELD_BACK, MIB),
    fc.integer({ min: 1, max: MIB }),
  );
  const where = fc.constantFrom('first', 'middle', 'held back', 'last');
  let turn = 0;
  await fc.assert(
    fc.asyncProperty(sizes, where, async (size, place) => {
      const at = { first: 0, middle: size >> 1, 'held back': Math.max(0, size - HELD_BACK), last: size - 1 }[place];
      const blob = makeBlob(`flipped ${turn++}`, size);
      t.deepEqual(await endure(t.context, blob, { corruptAt: at ?? 0 }), [], `byte ${at} of ${size}`);
    }),
    { seed: 7, numRuns: 14, endOnFailure: true },
  );
});

const LIES: Readonly<Record<string, Effect>> = {
  'a length that is too long': { length: 'long' },
  'a length that is too short': { length: 'short' },
  'two lengths': { length: 'duplicate' },
  'a length that is no number': { length: { value: 'many' } },
  'a length below zero': { length: { value: '-1' } },
  'chunks instead of a length': { length: 'chunked' },
  'chunks without an end': { length: 'unterminated' },
  'a body that ends with the connection': { length: 'until-close' },
  'a body that is said to be compressed': { headers: { 'content-encoding': 'gzip' } },
  'another range than the whole': { headers: { 'content-range': 'bytes 10-20/100' } },
};

for (const [lie, effect] of Object.entries(LIES)) {
  for (const size of [500, 200_000]) {
    test(`${lie} on a blob of ${size} bytes never makes a complete wrong answer, and nothing of it stays`, async (t) => {
      t.deepEqual(await endure(t.context, makeBlob(`${lie} ${size}`, size), effect), []);
    });
  }
}

test('a HEAD that tells another size than the GET changes nothing about what a pull gets', async (t) => {
  const effect = { headers: { 'content-length': '99' } };
  t.deepEqual(await endure(t.context, makeBlob('HEAD is not GET', 5000), effect, 'HEAD'), []);
});

const RESUMPTIONS: Readonly<Record<string, Effect>> = {
  'the whole again': { ignoreRange: true },
  'another range': { headers: { 'content-range': 'bytes 0-99/400000' } },
  'a range of another size': { headers: { 'content-range': 'bytes 100001-399999/400001' } },
  'no Content-Range': { headers: { 'content-range': undefined } },
  'an encoded range': { headers: { 'content-encoding': 'gzip' } },
};

for (const [what, effect] of Object.entries(RESUMPTIONS)) {
  test(`a resumed download that is answered with ${what} ends right or not at all`, async (t) => {
    const { hub, gateway } = t.context;
    const blob = makeBlob(`resumed with ${what}`, 400_000);
    hub.addBlob('library/nginx', blob);
    const stall = hub.fault(
      { role: 'cdn', reference: blob.digest, times: 1 },
      { stallAfter: 100_000, cutAfter: 100_001 },
    );
    const fault = hub.fault({ role: 'cdn', reference: blob.digest, skip: 1 }, effect);
    const pulling = pull(t.context, blob.digest);
    // What is there already is not lost by the cut.
    await eventually(
      () => onDisk(gateway, blob.digest),
      (files) => files.length > 0,
    );
    await eventually(
      () => hub.bytes({ role: 'cdn', reference: blob.digest }),
      (bytes) => bytes === 100_000,
    );
    await sleep(50);
    stall.release();
    const answer = await pulling;
    t.regex(
      hub.requests.findLast(({ reference, role }) => role === 'cdn' && reference === blob.digest)?.headers.range ?? '',
      /^bytes=1\d+-$/,
    );
    t.true(isFailure(answer) || (answer.complete && answer.digest === blob.digest));
    t.is(what === 'the whole again', answer.status === 200 && answer.complete);
    fault.remove();
    t.is((await pull(t.context, blob.digest)).digest, blob.digest);
    t.deepEqual(await settledOnDisk(gateway, blob.digest), [blobPath(blob.digest)]);
  });
}

for (const size of [1000, 300_000]) {
  test.serial(
    `another upstream's bytes take over when the first one's have the wrong digest (${size} bytes)`,
    async (t) => {
      const { hub, quay, gateway } = t.context;
      const blob = makeBlob(`taken over ${size}`, size);
      for (const upstream of [hub, quay]) upstream.addBlob('library/nginx', blob);
      const stall = hub.fault({ role: 'cdn', reference: blob.digest }, { corruptAt: 0, stallAfter: size >> 1 });
      const joined = new EventEmitter();
      t.teardown(subscribe('follower', ({ phase }) => joined.emit(phase)));
      const first = pull(t.context, blob.digest);
      await once(joined, 'joined');
      const second = pull(t.context, blob.digest, 'quay.io');
      await once(joined, 'joined');
      stall.release();
      for (const answer of await Promise.all([first, second])) {
        if (size <= HELD_BACK) t.is(answer.digest, blob.digest);
        else t.true(isFailure(answer) || answer.digest === blob.digest);
      }
      t.deepEqual(await settledOnDisk(gateway, blob.digest), [blobPath(blob.digest)]);
      t.is(quay.count({ role: 'cdn', reference: blob.digest, method: 'GET' }), 1);
      t.is((await pull(t.context, blob.digest)).digest, blob.digest);
    },
  );
}

const MANIFEST_LIES: Readonly<Record<string, Effect>> = {
  'a flipped byte': { corruptAt: 20 },
  'a length that is too long': { length: 'long' },
  'a length that is too short': { length: 'short' },
  'two lengths': { length: 'duplicate' },
  'a wrong Docker-Content-Digest': { headers: { 'docker-content-digest': `sha256:${'0'.repeat(64)}` } },
  'an encoding': { headers: { 'content-encoding': 'gzip' } },
};

for (const [lie, effect] of Object.entries(MANIFEST_LIES)) {
  for (const by of ['tag', 'digest'] as const) {
    test(`a manifest by ${by} with ${lie} is a clean error or right, is not stored, and heals`, async (t) => {
      const { hub, gateway } = t.context;
      const image = makeImage({ seed: `${lie} ${by}`, layers: [10] });
      const repository = `library/m-${Buffer.from(lie + by)
        .toString('hex')
        .slice(-40)}`;
      hub.add(repository, image);
      const get = () =>
        gateway.client.request(
          urlOf(gateway, 'path', 'docker.io', repository, `manifests/${by === 'tag' ? 'latest' : image.digest}`),
          { headers: { accept: topOf(image).mediaType } },
        );
      const fault = hub.fault({ kind: 'manifest', repository }, effect);
      const answer = await get();
      const isRight = answer.status === 200 && answer.complete && answer.digest === image.digest;
      t.true(isRight || isFailure(answer), `${answer.status} ${answer.body}`);
      if (!isRight) t.deepEqual(await onDisk(gateway, image.digest), []);
      fault.remove();
      t.is((await get()).digest, image.digest);
    });
  }
}
