import anyTest, { type TestFn } from 'ava';
import type { ClientResponse } from '../support/client.ts';
import { type Blob, makeBlob } from '../support/content.ts';
import { TestGateway } from '../support/gateway.ts';
import { makeImage, topOf } from '../support/image.ts';
import { type FakeUpstream, startUpstream } from '../support/upstream/upstream.ts';
import { blobPath, eventually, onDisk, settledOnDisk, urlOf } from './doors.ts';

interface Stage {
  readonly upstream: FakeUpstream;
  readonly gateway: TestGateway;
}

const test = anyTest as TestFn<Stage>;
const MIB = 1 << 20;

test.before(async (t) => {
  const upstream = await startUpstream({ profile: 'mcr', tls: false });
  Object.assign(t.context, { upstream, gateway: await TestGateway.start({ upstreams: [upstream] }) });
});

test.after.always(async ({ context: { gateway, upstream } }) => {
  await gateway[Symbol.asyncDispose]();
  await upstream.close();
});

function blobOf({ upstream }: Stage, seed: string, size: number, algorithm?: string): Blob {
  const blob = makeBlob(seed, size, algorithm);
  upstream.addBlob('library/nginx', blob);
  return blob;
}

function ask(
  { gateway }: Stage,
  { digest }: Blob,
  range?: string,
  headers: Record<string, string> = {},
  method = 'GET',
): Promise<ClientResponse> {
  const url = urlOf(gateway, 'path', 'mcr.microsoft.com', 'library/nginx', `blobs/${digest}`);
  return gateway.client.request(url, { method, headers: { ...headers, ...(range !== undefined && { range }) } });
}

/** What was asked of the host that has the bytes. */
function downloads({ upstream }: Stage, { digest }: Blob): { range: string | undefined; bytes: number }[] {
  return upstream.requests
    .filter(({ role, method, reference }) => role === 'cdn' && method === 'GET' && reference === digest)
    .map(({ headers, bytes }) => ({ range: headers.range, bytes }));
}

const SIZE = 100_000;
/** Range, and the bytes it stands for; none: 416. */
const TABLE: readonly (readonly [range: string, start?: number, end?: number])[] = [
  ['bytes=500-1499', 500, 1500],
  ['bytes=0-0', 0, 1],
  ['bytes=500-', 500, SIZE],
  ['bytes=-500', SIZE - 500, SIZE],
  ['bytes=-200000', 0, SIZE],
  ['bytes=99000-200000', 99_000, SIZE],
  ['bytes=99999-100000', 99_999, SIZE],
  ['bytes=100000-'],
  ['bytes=200000-300000'],
  ['bytes=500-0'],
  ['bytes=-0'],
];

for (const temperature of ['cold', 'warm'] as const) {
  for (const [range, start, end] of TABLE) {
    test(`${range} of a ${temperature} blob of ${SIZE} bytes is ${start === undefined ? '416' : `206 with ${start}-${end}`}`, async (t) => {
      const blob = blobOf(t.context, `${temperature} ${range}`, SIZE);
      if (temperature === 'warm') {
        await ask(t.context, blob);
        await settledOnDisk(t.context.gateway, blob.digest);
      }
      const { status, headers, body, complete } = await ask(t.context, blob, range);
      t.true(complete);
      if (start === undefined || end === undefined) {
        t.is(status, 416);
        t.is(headers['content-range'], `bytes */${SIZE}`);
        t.is((JSON.parse(body.toString()) as { errors: unknown[] }).errors.length, 1);
      } else {
        t.is(status, 206);
        t.is(headers['content-range'], `bytes ${start}-${end - 1}/${SIZE}`);
        t.is(headers['content-length'], String(end - start));
        t.is(headers['accept-ranges'], 'bytes');
        t.is(headers['docker-content-digest'], blob.digest);
        t.true(body.equals(blob.content.read(start, end)));
      }
      await settledOnDisk(t.context.gateway, blob.digest);
      t.deepEqual(downloads(t.context, blob), [{ range: undefined, bytes: SIZE }]);
    });
  }
}

for (const range of ['items=0-5', 'bytes=a-b', 'bytes=', 'bytes 0-5']) {
  test(`a Range of "${range}" is no range: the whole blob`, async (t) => {
    const blob = blobOf(t.context, `not a range ${range}`, 1000);
    const { status, digest } = await ask(t.context, blob, range);
    t.deepEqual([status, digest], [200, blob.digest]);
  });
}

/** The parts of a multipart/byteranges body: Content-Range and bytes. */
function partsOf({ headers, body }: ClientResponse): { range: string; bytes: Buffer }[] {
  const boundary = /^multipart\/byteranges; boundary=([\w.-]+)$/.exec(headers['content-type'] ?? '')?.[1] ?? '';
  const text = body.toString('latin1');
  const pieces = text.split(`--${boundary}`);
  if (pieces.at(-1) !== '--\r\n') throw new Error('the last boundary is missing');
  return pieces.slice(1, -1).map((piece) => {
    const [head = '', ...rest] = piece.split('\r\n\r\n');
    const range = /content-range: bytes (\S+)/i.exec(head)?.[1] ?? '';
    return { range, bytes: Buffer.from(rest.join('\r\n\r\n').slice(0, -2), 'latin1') };
  });
}

test('several ranges of a warm blob come as so many parts, in order, none merged', async (t) => {
  const blob = blobOf(t.context, 'parts', 300_000);
  await ask(t.context, blob);
  const answer = await ask(t.context, blob, 'bytes=250000-250099, 0-9,10-19, -5');
  t.is(answer.status, 206);
  t.is(answer.headers['content-length'], String(answer.length));
  const read = (start: number, end: number) => ({
    range: `${start}-${end - 1}/300000`,
    bytes: blob.content.read(start, end),
  });
  t.deepEqual(partsOf(answer), [read(250_000, 250_100), read(0, 10), read(10, 20), read(299_995, 300_000)]);
});

test('several ranges of a warm blob of which one can be satisfied come as that one', async (t) => {
  const blob = blobOf(t.context, 'one part', 1000);
  await ask(t.context, blob);
  const answer = await ask(t.context, blob, 'bytes=10-19,5000-6000');
  t.is(answer.headers['content-range'], 'bytes 10-19/1000');
});

test('several ranges of a cold blob are a 400 until the fill has passed them', async (t) => {
  const blob = blobOf(t.context, 'parts of a cold one', 400_000);
  const stall = t.context.upstream.fault({ role: 'cdn', reference: blob.digest }, { stallAfter: 200_000 });
  const early = await ask(t.context, blob, 'bytes=0-9,300000-300009');
  t.is(early.status, 400);
  t.is((JSON.parse(early.body.toString()) as { errors: unknown[] }).errors.length, 1);
  const passed = await eventually(
    () => ask(t.context, blob, 'bytes=0-9,190000-190009'),
    ({ status }) => status === 206,
  );
  t.deepEqual(
    partsOf(passed).map(({ bytes }) => bytes),
    [blob.content.read(0, 10), blob.content.read(190_000, 190_010)],
  );
  stall.release();
  t.is((await ask(t.context, blob)).digest, blob.digest);
  t.is(downloads(t.context, blob).length, 1);
});

for (const algorithm of ['sha256', 'sha512']) {
  for (const size of [0, 2]) {
    test(`a ${algorithm} blob of ${size} bytes is content like any other`, async (t) => {
      const blob = blobOf(t.context, `tiny ${algorithm}`, size, algorithm);
      for (const temperature of ['cold', 'warm']) {
        const whole = await ask(t.context, blob);
        t.deepEqual(
          [whole.status, whole.headers['content-length'], whole.length],
          [200, String(size), size],
          temperature,
        );
        t.is(whole.headers['docker-content-digest'], blob.digest);
        const ranged = await ask(t.context, blob, 'bytes=0-');
        t.deepEqual(
          [ranged.status, ranged.length > 0 && ranged.status === 206],
          size === 0 ? [416, false] : [206, true],
        );
        await settledOnDisk(t.context.gateway, blob.digest);
      }
      t.is(downloads(t.context, blob).length, 1);
    });
  }
}

test('a sha512 image is pulled, kept and verified under its own algorithm', async (t) => {
  const { upstream, gateway } = t.context;
  const image = makeImage({ algorithm: 'sha512', layers: [5000], platforms: ['linux/amd64'] });
  upstream.add('library/sha512', image);
  const url = (rest: string) => urlOf(gateway, 'path', 'mcr.microsoft.com', 'library/sha512', rest);
  for (let pull = 0; pull < 2; pull++) {
    const manifest = await gateway.client.request(url(`manifests/${image.digest}`), {
      headers: { accept: topOf(image).mediaType },
    });
    t.is(manifest.headers['docker-content-digest'], image.digest);
    t.true(manifest.body.equals(topOf(image).bytes));
    for (const [digest, content] of image.blobs) {
      t.true((await gateway.client.request(url(`blobs/${digest}`))).body.equals(content.read(0, content.size)));
      t.deepEqual(await settledOnDisk(gateway, digest), [blobPath(digest)]);
    }
  }
  t.is(upstream.count({ kind: 'manifest', repository: 'library/sha512', method: 'GET' }), 1);
});

test('If-Range picks the range for this blob and the whole for anything else', async (t) => {
  const blob = blobOf(t.context, 'if-range', 1000);
  t.is((await ask(t.context, blob, 'bytes=0-9', { 'if-range': `"${blob.digest}"` })).status, 206);
  t.is((await ask(t.context, blob, 'bytes=0-9', { 'if-range': '"another"' })).status, 200);
  t.is((await ask(t.context, blob, 'bytes=0-9', { 'if-range': 'Sat, 21 Nov 2026 00:00:00 GMT' })).status, 200);
});

test('HEAD of a blob that is not there tells its size without a download, with or without a Range', async (t) => {
  const blob = blobOf(t.context, 'only its head', 12_345);
  for (const range of [undefined, 'bytes=0-9']) {
    const { status, headers, length } = await ask(t.context, blob, range, {}, 'HEAD');
    t.deepEqual([status, headers['content-length'], length], [200, '12345', 0]);
    t.is(headers['docker-content-digest'], blob.digest);
    t.is(headers['accept-ranges'], 'bytes');
  }
  t.deepEqual(downloads(t.context, blob), []);
  t.deepEqual(await onDisk(t.context.gateway, blob.digest), []);
});

test('ranges far ahead on a cold slow blob are answered at once, and in the end every byte came once', async (t) => {
  const size = 6 * MIB;
  const blob = blobOf(t.context, 'far ahead', size);
  const stall = t.context.upstream.fault({ role: 'cdn', reference: blob.digest, times: 1 }, { stallAfter: MIB });
  const whole = ask(t.context, blob);
  await eventually(
    () => t.context.upstream.bytes({ role: 'cdn', reference: blob.digest }),
    (bytes) => bytes === MIB,
  );
  for (const start of [5 * MIB, 3 * MIB, 5 * MIB, size - 100]) {
    const end = Math.min(size, start + 50_000);
    const { status, body } = await ask(t.context, blob, `bytes=${start}-${end - 1}`);
    t.deepEqual([status, body.equals(blob.content.read(start, end))], [206, true], `from ${start}`);
  }
  stall.release();
  const { digest, complete } = await whole;
  t.deepEqual([digest, complete], [blob.digest, true]);
  t.deepEqual(await settledOnDisk(t.context.gateway, blob.digest), [blobPath(blob.digest)]);
  const made = downloads(t.context, blob);
  t.deepEqual(
    made.map(({ range }) => range),
    [undefined, `bytes=${5 * MIB}-`, `bytes=${3 * MIB}-${5 * MIB - 1}`],
  );
  t.deepEqual(
    made.slice(1).map(({ bytes }) => bytes),
    [MIB, 2 * MIB],
  );
});
