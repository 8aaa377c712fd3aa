import { once } from 'node:events';
import net from 'node:net';
import test from 'ava';
import { Client, type ClientResponse, type RequestOptions } from './client.ts';
import { type Blob, makeBlob } from './content.ts';
import { makeImage } from './image.ts';
import { CLIENT_MODELS, pull } from './pull/pull.ts';
import type { Effect } from './upstream/fault.ts';
import { type FakeUpstream, startUpstream } from './upstream/upstream.ts';

const BLOB = makeBlob('fault', 100_000);
const UNFRAMED = { 'content-length': undefined, 'transfer-encoding': undefined };
const RETRY = { 'retry-after': '5' };
const METADATA = 'http://169.254.169.254/';

interface Expected extends Partial<Pick<ClientResponse, 'status' | 'complete' | 'length'>> {
  readonly headers?: Readonly<Record<string, string | undefined>>;
  /** Whether the body is the blob. */
  readonly intact?: boolean;
}

interface Bench extends AsyncDisposable {
  readonly upstream: FakeUpstream;
  readonly client: Client;
  get(options?: RequestOptions, blob?: Blob): Promise<ClientResponse>;
}

async function bench(tls: boolean = true): Promise<Bench> {
  const upstream = await startUpstream({ profile: 'mcr', tls });
  const client = new Client({ ca: upstream.ca ?? '', keepAlive: true });
  upstream.addBlob('a/b', BLOB);
  return {
    upstream,
    client,
    get: (options, blob = BLOB) =>
      client.request(`${upstream.url('cdn')}/a/b/blobs/${blob.digest.replace(':', '/')}`, options),
    async [Symbol.asyncDispose]() {
      client[Symbol.dispose]();
      await upstream.close();
    },
  };
}

const SIZE = BLOB.content.size;
const DIGEST = BLOB.digest;

const damage: readonly [string, Effect, Expected][] = [
  ['a cut leaves the body short', { cutAfter: 5000 }, { status: 200, complete: false, length: 5000 }],
  ['a cut at byte 0 lets the head through', { cutAfter: 0 }, { status: 200, complete: false, length: 0 }],
  ['a corrupt byte keeps length and framing', { corruptAt: SIZE - 1 }, { complete: true, length: SIZE, intact: false }],
  ['a length too long ends in a cut', { length: 'long' }, { complete: false, headers: { 'content-length': '100010' } }],
  ['a length too short hides the end', { length: 'short' }, { length: SIZE - 10, intact: false }],
  ['chunks give no length', { length: 'chunked' }, { complete: true, headers: { 'transfer-encoding': 'chunked' } }],
  ['chunks without the last one never end', { length: 'unterminated' }, { complete: false, length: SIZE }],
  ['a body until close has no framing', { length: 'until-close' }, { intact: true, headers: UNFRAMED }],
  [
    'a header field is replaced',
    { headers: { 'content-encoding': 'gzip' } },
    { headers: { 'content-encoding': 'gzip' } },
  ],
  ['a header field is removed', { headers: { etag: undefined } }, { intact: true, headers: { etag: undefined } }],
  ['a 429 says when to come back', { status: 429, headers: RETRY }, { status: 429, headers: RETRY }],
  ['a redirect may lead anywhere', { redirect: METADATA }, { status: 307, headers: { location: METADATA } }],
];

for (const [title, effect, { intact, ...expected }] of damage) {
  test(`${title}, once`, async (t) => {
    await using at = await bench();
    const fault = at.upstream.fault({ kind: 'blob', times: 1 }, effect);
    const answer = await at.get();
    t.like(answer, expected);
    if (intact !== undefined) t.is(answer.digest === DIGEST, intact);
    t.is(fault.hits, 1);
    t.like(await at.get(), { complete: true, digest: DIGEST });
  });
}

test('ranges are honoured, ignored or misnamed as told', async (t) => {
  await using at = await bench();
  const range = { headers: { range: 'bytes=99000-' } };
  const honest = await at.get(range);
  t.is(honest.status, 206);
  t.is(honest.headers['content-range'], 'bytes 99000-99999/100000');
  t.deepEqual(honest.body, BLOB.content.read(99_000, 100_000));
  at.upstream.fault({ kind: 'blob', times: 1 }, { ignoreRange: true });
  const ignored = await at.get(range);
  t.is(ignored.status, 200);
  t.is(ignored.length, 100_000);
  at.upstream.fault({ kind: 'blob', times: 1 }, { headers: { 'content-range': 'bytes 0-999/100000' } });
  t.is((await at.get(range)).headers['content-range'], 'bytes 0-999/100000');
  t.is((await at.get({ headers: { range: 'bytes=100000-' } })).status, 416);
});

test('a stalled body goes on when it is released', async (t) => {
  await using at = await bench();
  const fault = at.upstream.fault({ kind: 'blob' }, { stallAfter: 70_000 });
  const broken = await at.get({ timeout: 1000 });
  t.is(broken.length, 70_000);
  t.false(broken.complete);
  const answer = at.get();
  while (at.upstream.bytes() < 140_000) await new Promise(setImmediate);
  fault.release();
  t.is((await answer).digest, BLOB.digest);
});

test('a hanging or delayed head comes late', async (t) => {
  await using at = await bench();
  const fault = at.upstream.fault({ kind: 'blob', times: 1 }, { hang: true });
  await t.throwsAsync(at.get({ timeout: 100 }), { message: /no byte/ });
  fault.remove();
  at.upstream.fault({ kind: 'blob', times: 1 }, { delay: 80 });
  t.true((await at.get()).headMs >= 79);
});

test('a paced body takes its time', async (t) => {
  await using at = await bench();
  at.upstream.fault({ kind: 'blob' }, { bytesPerSecond: 500_000 });
  const { totalMs, digest } = await at.get();
  t.true(totalMs >= 180);
  t.is(digest, BLOB.digest);
});

for (const tls of [true, false]) {
  test(`a reset is a reset on the wire, ${tls ? 'below TLS' : 'over plain HTTP'}`, async (t) => {
    await using at = await bench(tls);
    const relay = net.createServer((near) => {
      const far = net.connect(at.upstream.listener('cdn').port, '127.0.0.1');
      far.on('error', (error: NodeJS.ErrnoException) => {
        relay.emit('broken', error.code);
        near.destroy();
      });
      near.on('error', () => far.destroy());
      far.on('end', () => relay.emit('broken', 'FIN'));
      near.pipe(far).pipe(near);
    });
    await once(relay.listen(0, '127.0.0.1'), 'listening');
    const { port } = relay.address() as net.AddressInfo;
    using client = new Client({
      ca: at.upstream.ca ?? '',
      connectTo: { [at.upstream.authority('cdn')]: { address: '127.0.0.1', port } },
    });
    for (const [cutBy, seen] of [
      ['rst', 'ECONNRESET'],
      ['fin', 'FIN'],
    ] as const) {
      const fault = at.upstream.fault({ kind: 'blob' }, { cutAfter: 1000, cutBy });
      const broken = once(relay, 'broken');
      const url = `${at.upstream.url('cdn')}/a/b/blobs/${BLOB.digest.replace(':', '/')}`;
      t.false((await client.request(url)).complete);
      t.deepEqual(await broken, [seen]);
      fault.remove();
    }
    relay.close();
  });
}

test('a duplicate length and a dropped connection are no answers', async (t) => {
  await using at = await bench();
  at.upstream.fault({ kind: 'blob', times: 1 }, { length: 'duplicate' });
  await t.throwsAsync(at.get(), { message: /Content-Length/ });
  at.upstream.fault({ kind: 'blob', times: 1 }, { drop: 'rst' });
  await t.throwsAsync(at.get());
});

test('faults hit the requests they pick, after those they skip', async (t) => {
  await using at = await bench();
  const other = makeBlob('other', 10);
  at.upstream.addBlob('a/b', other);
  const fault = at.upstream.fault({ reference: BLOB.digest, method: 'GET', skip: 1, times: 2 }, { status: 503 });
  const statuses = [];
  for (const blob of [BLOB, other, BLOB, BLOB, BLOB]) statuses.push((await at.get({}, blob)).status);
  t.deepEqual(statuses, [200, 200, 503, 503, 200]);
  t.is((await at.get({ method: 'HEAD' })).status, 200);
  t.is(fault.hits, 2);
});

test('counters tell requests, bytes sent and credentials seen, until they are reset', async (t) => {
  await using at = await bench();
  await at.get({ headers: { authorization: 'Basic eDp5' } });
  await at.get({ method: 'HEAD' });
  t.is(at.upstream.count({ kind: 'blob', reference: BLOB.digest }), 2);
  t.is(at.upstream.count({ method: 'GET', repository: 'a/b', role: 'cdn' }), 1);
  t.is(at.upstream.bytes({ kind: 'blob' }), 100_000);
  t.deepEqual(at.upstream.authorizations('cdn'), ['Basic eDp5']);
  t.deepEqual(at.upstream.authorizations('registry'), []);
  at.upstream.reset();
  t.is(at.upstream.count(), 0);
});

test('a host that is down refuses, and comes back on the same port', async (t) => {
  await using at = await bench();
  const url = at.upstream.url('cdn');
  await at.upstream.down('cdn');
  await t.throwsAsync(at.get(), { code: 'ECONNREFUSED' });
  t.is((await at.client.request(`${at.upstream.url()}/v2/`)).status, 200);
  await at.upstream.up('cdn');
  t.is(at.upstream.url('cdn'), url);
  t.is((await at.get()).digest, BLOB.digest);
});

for (const model of CLIENT_MODELS) {
  test(`${model} goes on with a Range after a cut, and refuses a corrupt layer`, async (t) => {
    await using upstream = await startUpstream({ profile: 'mcr' });
    using client = new Client({ ca: upstream.ca ?? '', keepAlive: true });
    const image = makeImage({ platforms: ['linux/amd64'], layers: [50_000] });
    upstream.add('a/b', image);
    const options = { client, registry: upstream.url(), repository: 'a/b', reference: 'latest' };
    const [layer = ''] = [...image.blobs.keys()];
    upstream.fault({ role: 'cdn', reference: layer, times: 1 }, { cutAfter: 20_000 });
    t.is((await pull(model, options)).blobs.size, 2);
    const requests = upstream.requests.filter(({ role, reference }) => role === 'cdn' && reference === layer);
    t.deepEqual(
      requests.map(({ headers, status }) => [headers.range, status]),
      [
        [undefined, 200],
        ['bytes=20000-', 206],
      ],
    );
    upstream.fault({ role: 'cdn', reference: layer }, { corruptAt: 40_000 });
    await t.throwsAsync(pull(model, options), { message: /got the bytes of/ });
  });
}
