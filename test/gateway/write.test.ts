import { Readable } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import test from 'ava';
import fc from 'fast-check';
import { RegistryError } from '../../src/oci/error.ts';
import type { ByteSource, Reply } from '../../src/registry/exchange.ts';
import { ask, askPlain, dial, HIT, raw, readAll, sourceOf, start, until } from './start.ts';

const BLOB = `/v2/a/blobs/sha256:${'c'.repeat(64)}`;
const bytes = Buffer.alloc(1_000_000, 'layover ');

function whole(source: ByteSource, size = bytes.length): Reply {
  const headers = { 'Content-Length': String(size), 'Content-Type': 'application/octet-stream' };
  return { status: 200, headers, body: { kind: 'source', source, range: { start: 0, end: size } }, outcome: HIT };
}

function requestLine(path: string): string {
  return `GET ${path} HTTP/1.1\r\nHost: registry.example\r\n\r\n`;
}

test('a source is sent in full, whatever pieces it comes in, and released', async (t) => {
  let source = sourceOf(bytes);
  const running = await start(t, { endpoints: async () => whole(source) });
  for (const askOne of [ask, askPlain]) {
    source = sourceOf(bytes);
    const answer = await askOne(running, { path: BLOB });
    t.true(answer.body.equals(bytes));
    await t.notThrowsAsync(until(() => source.disposed));
  }
});

test('any range of any source arrives byte for byte, however short its reads are', async (t) => {
  let reply = whole(sourceOf(bytes));
  const running = await start(t, { endpoints: async () => reply });
  const cut = fc.integer({ min: 1, max: bytes.length });
  await fc.assert(
    fc.asyncProperty(cut, cut, fc.integer({ min: 100_000, max: 400_000 }), async (one, other, most) => {
      const range = { start: Math.min(one, other) - 1, end: Math.max(one, other) };
      const inner = sourceOf(bytes);
      const source: ByteSource = {
        read: (buffer, position, signal) => inner.read(buffer.subarray(0, most), position, signal),
        [Symbol.asyncDispose]: async () => undefined,
      };
      const headers = { 'Content-Length': String(range.end - range.start) };
      reply = { status: 206, headers, body: { kind: 'source', source, range }, outcome: HIT };
      const answer = await askPlain(running, { path: BLOB });
      return answer.body.equals(bytes.subarray(range.start, range.end));
    }),
    { numRuns: 20 },
  );
  t.pass();
});

test('the answers of many clients at once do not mix', async (t) => {
  const running = await start(t, {
    endpoints: async ({ headers }) => whole(sourceOf(Buffer.alloc(1_000_000, headers.range))),
  });
  const marks = Array.from({ length: 24 }, (_, index) => `<${index}>`);
  const answers = await Promise.all(marks.map((range) => ask(running, { path: BLOB, headers: { range } })));
  for (const [index, answer] of answers.entries()) t.true(answer.body.equals(Buffer.alloc(1_000_000, marks[index])));
});

test('several ranges go out as parts, with their heads and the tail between them', async (t) => {
  const source = sourceOf(Buffer.from('0123456789'));
  const parts = [
    { head: Buffer.from('[one]'), range: { start: 1, end: 3 } },
    { head: Buffer.from('[two]'), range: { start: 8, end: 10 } },
  ];
  const body = { kind: 'parts', source, parts, tail: Buffer.from('[end]') } as const;
  const running = await start(t, {
    endpoints: async () => ({ status: 206, headers: { 'Content-Length': '19' }, body, outcome: HIT }),
  });
  const answer = await ask(running, { path: BLOB });
  t.is(answer.body.toString(), '[one]12[two]89[end]');
  await t.notThrowsAsync(until(() => source.disposed));
});

test('a stream of unknown length goes through', async (t) => {
  const running = await start(t, {
    endpoints: async () => ({
      status: 200,
      headers: { 'Set-Cookie': ['a=1', 'b=2'] },
      body: { kind: 'stream', stream: Readable.from([Buffer.from('ab'), Buffer.from('cd')]) },
      outcome: { cache: 'miss', why: 'absent' },
    }),
  });
  const answer = await ask(running, { path: BLOB });
  t.is(answer.body.toString(), 'abcd');
  t.is(answer.headers['transfer-encoding'], 'chunked');
  t.deepEqual(answer.headers['set-cookie'], ['a=1', 'b=2']);
  await until(() => running.events.length > 0);
  t.is(running.events[0]?.bytes, 4);
});

test('HEAD and 304 send the head and release what would have been the body', async (t) => {
  const sources: ReturnType<typeof sourceOf>[] = [];
  const streams: Readable[] = [];
  const running = await start(t, {
    endpoints: async ({ route }) => {
      if (route.kind === 'manifest') {
        const stream = Readable.from([Buffer.from('x')]);
        streams.push(stream);
        return { status: 304, headers: { ETag: '"x"' }, body: { kind: 'stream', stream }, outcome: HIT };
      }
      const source = sourceOf(bytes);
      sources.push(source);
      return whole(source);
    },
  });
  const head = await ask(running, { method: 'HEAD', path: BLOB });
  t.is(head.headers['content-length'], String(bytes.length));
  t.is(head.body.length, 0);
  t.is((await ask(running, { path: '/v2/a/manifests/1' })).status, 304);
  await t.notThrowsAsync(until(() => sources[0]?.disposed === true && streams[0]?.destroyed === true));
});

test('an answer from a stale cache is marked as such', async (t) => {
  const outcome = { cache: 'stale', why: 'unreachable' } as const;
  const running = await start(t, { endpoints: async () => ({ ...whole(sourceOf(bytes)), outcome }) });
  const { headers } = await ask(running, { path: BLOB });
  t.is(headers['cache-status'], 'Layover; hit; detail=stale');
  t.regex(headers.warning ?? '', /^299 - "/);
});

test('a source that fails before its first byte is a clean error', async (t) => {
  const source = sourceOf(bytes, () => {
    throw new RegistryError('UNAVAILABLE');
  });
  const running = await start(t, { endpoints: async () => whole(source) });
  const answer = await ask(running, { path: BLOB });
  t.is(answer.status, 504);
  t.is(JSON.parse(answer.body.toString()).errors[0].code, 'UNAVAILABLE');
  t.true(source.disposed, 'before the answer');
});

for (const over of ['tls', 'plain'] as const) {
  test(`a source that fails later ends the connection in good order with bytes missing (${over})`, async (t) => {
    const source = sourceOf(bytes, (position) => {
      if (position > 500_000) throw new RegistryError('UNAVAILABLE', 'gone');
    });
    const running = await start(t, { endpoints: async () => whole(source) });
    const path = over === 'tls' ? BLOB : `${BLOB}?ns=registry.example`;
    const head = `GET ${path} HTTP/1.1\r\nHost: ${over === 'tls' ? 'registry.example' : 'gateway.lan'}\r\nUser-Agent: ${running.agent}\r\n\r\n`;
    const { received, ended, error } = await raw(running, over, head);
    const [lines = '', body = ''] = received.split('\r\n\r\n');
    t.regex(lines, /^HTTP\/1\.1 200 .*Content-Length: 1000000/s);
    t.true(body.length >= 500_000 && body.length < 1_000_000, `${body.length}`);
    t.true(bytes.subarray(0, body.length).equals(Buffer.from(body, 'latin1')));
    t.true(ended, 'a FIN came');
    t.is(error, undefined);
    await t.notThrowsAsync(until(() => source.disposed));
    await until(() => running.events.length > 0);
    t.like(running.events[0], { aborted: false, error: 'UNAVAILABLE: gone' });
  });
}

test('a stream that fails ends a chunked answer without its last chunk', async (t) => {
  const stream = Readable.from(
    (async function* () {
      yield Buffer.from('some');
      await delay(20);
      throw new Error('cut');
    })(),
  );
  const reply: Reply = { status: 200, headers: {}, body: { kind: 'stream', stream }, outcome: HIT };
  const running = await start(t, { endpoints: async () => reply });
  const { received, ended, error } = await raw(running, 'tls', requestLine(BLOB));
  t.regex(received, /4\r\nsome\r\n$/);
  t.true(ended);
  t.is(error, undefined);
});

test('a source that ends early is a failure, not an end', async (t) => {
  const running = await start(t, { endpoints: async () => whole(sourceOf(bytes.subarray(0, 700_000)), bytes.length) });
  const answer = await ask(running, { path: BLOB });
  t.true(answer.cut);
  t.is(answer.body.length, 700_000);
});

test('when the client goes away, waiting ends and the source is released', async (t) => {
  let aborted = false;
  const source = sourceOf(bytes, async (position, signal) => {
    if (position === 0) return;
    await delay(60_000, undefined, { signal }).catch(() => {
      aborted = true;
      throw signal.reason;
    });
  });
  const running = await start(t, { endpoints: async () => whole(source) });
  const socket = dial(running, 'tls');
  const head = requestLine(BLOB).replace('\r\n\r\n', `\r\nUser-Agent: ${running.agent}\r\n\r\n`);
  socket.write(head);
  socket.once('data', () => socket.destroy());
  await readAll(socket);
  await until(() => running.events.length > 0 && source.disposed);
  t.true(aborted);
  t.like(running.events[0], { aborted: true, status: 200, kind: 'blob' });
  t.is(running.events[0]?.error, undefined);
});

test('a client that goes away while an endpoint works aborts its signal', async (t) => {
  let seen: AbortSignal | undefined;
  const running = await start(t, {
    endpoints: async ({ signal }) => {
      seen = signal;
      await delay(60_000, undefined, { signal });
      throw new Error('never');
    },
  });
  const socket = dial(running, 'plain');
  socket.write(`GET /v2/ HTTP/1.1\r\nHost: x\r\nUser-Agent: ${running.agent}\r\n\r\n`);
  await until(() => seen !== undefined);
  socket.destroy();
  await until(() => running.events.length > 0);
  t.true(seen?.aborted);
  t.like(running.events[0], { aborted: true, status: 499 });
});

test('a slow client gets everything', async (t) => {
  const large = Buffer.alloc(4_000_000, 'slow and steady ');
  const running = await start(t, { endpoints: async () => whole(sourceOf(large), large.length) });
  const socket = dial(running, 'tls');
  socket.write(requestLine(BLOB).replace('\r\n\r\n', '\r\nConnection: close\r\n\r\n'));
  let length = 0;
  for await (const chunk of socket as AsyncIterable<Buffer>) {
    length += chunk.length;
    if (length % 7 === 0) await delay(1);
  }
  t.true(length > large.length && length < large.length + 1_000);
});

test('a client that takes nothing for too long is cut off, however much is left', async (t) => {
  const endless = { kind: 'source', source: sourceOf(Buffer.alloc(0)), range: { start: 0, end: 1e12 } } as const;
  const source = { ...endless.source, read: async (buffer: Uint8Array) => buffer.length, disposed: false };
  source[Symbol.asyncDispose] = async () => {
    source.disposed = true;
  };
  const reply: Reply = { status: 200, headers: {}, body: { ...endless, source }, outcome: HIT };
  const running = await start(t, { endpoints: async () => reply });
  running.gateway.tlsServers[0].timeout = 700;
  const socket = dial(running, 'tls');
  socket.on('error', () => undefined);
  t.teardown(() => socket.destroy());
  socket.pause();
  socket.write(requestLine(BLOB));
  await t.notThrowsAsync(until(() => source.disposed));
});
