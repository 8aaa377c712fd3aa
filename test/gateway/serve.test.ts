import test from 'ava';
import { RegistryError } from '../../src/oci/error.ts';
import type { Exchange } from '../../src/registry/exchange.ts';
import { ask, askPlain, ca, HIT, raw, start, text, until } from './start.ts';

const DIGEST = `sha256:${'b'.repeat(64)}`;
const HOST = 'Host: registry.example\r\n';

test('an endpoint gets the whole exchange as one value and its reply goes out', async (t) => {
  const seen: Exchange[] = [];
  const running = await start(t, {
    endpoints: async (exchange) => {
      seen.push(exchange);
      return text('manifest');
    },
    identify: async (authorization, upstream) => ({ principal: `credential:${authorization} at ${upstream}` }),
  });
  const headers = {
    Accept: ['application/a', 'application/b, application/c'],
    Authorization: 'Bearer xyz',
    Range: 'bytes=0-1',
    'If-None-Match': '"x"',
    'If-Range': '"y"',
    'Content-Type': 'text/x',
    'X-Forwarded-For': '6.6.6.6',
  };
  const answer = await ask(running, { path: '/v2/library/nginx/manifests/latest?ns=x', headers });
  t.is(answer.status, 200);
  t.is(answer.body.toString(), 'manifest');
  t.is(answer.headers['content-length'], '8');
  t.is(answer.headers['cache-status'], 'Layover; hit');
  t.is(answer.headers['docker-distribution-api-version'], 'registry/2.0');
  t.like(seen[0], {
    route: {
      kind: 'manifest',
      repository: { root: 'cache', upstream: 'registry.example', name: 'library/nginx' },
      reference: { tag: 'latest' },
    },
    door: 'transparent',
    method: 'GET',
    origin: 'https://registry.example',
    caller: { principal: 'credential:Bearer xyz at registry.example' },
    headers: {
      accept: ['application/a', 'application/b, application/c'],
      range: 'bytes=0-1',
      ifNoneMatch: '"x"',
      ifRange: '"y"',
      userAgent: running.agent,
      contentType: 'text/x',
    },
  });
});

test('on our own names a credential is ignored', async (t) => {
  const seen: Exchange[] = [];
  const running = await start(t, {
    endpoints: async (exchange) => {
      seen.push(exchange);
      return text('');
    },
    identify: () => t.fail('nobody may look at it') as never,
  });
  const headers = { Authorization: 'Basic c2VjcmV0' };
  await askPlain(running, { path: '/v2/a/manifests/1?ns=registry.example', headers });
  await ask(running, { host: 'gateway.lan', path: '/v2/a/manifests/1', headers });
  t.deepEqual(
    seen.map(({ caller, door }) => [caller.principal, door]),
    [
      ['anonymous', 'mirror'],
      ['anonymous', 'mirror'],
    ],
  );
});

test('a token request brings its form, up to 64 KiB', async (t) => {
  const running = await start(t, { endpoints: async ({ body }) => text(Buffer.from(body).toString()) });
  const form = { method: 'POST', path: '/v2/_layover/token', body: 'grant_type=password' };
  t.is((await ask(running, form)).body.toString(), 'grant_type=password');
  const expecting = await ask(running, { ...form, headers: { Expect: '100-continue' } });
  t.is(expecting.body.toString(), 'grant_type=password');
  const large = await ask(running, { ...form, body: 'x'.repeat(64 * 1024 + 1) });
  t.is(large.status, 413);
});

test('HEAD is GET without the body', async (t) => {
  const running = await start(t);
  const get = await ask(running, { path: '/v2/a/manifests/1' });
  const head = await ask(running, { method: 'HEAD', path: '/v2/a/manifests/1' });
  const { date: _, ...expected } = get.headers;
  const { date: __, ...got } = head.headers;
  t.deepEqual(got, expected);
  t.is(head.body.length, 0);
});

test('an error of the registry becomes the OCI document with its status and header fields', async (t) => {
  const running = await start(t, {
    endpoints: async () => {
      throw new RegistryError('TOOMANYREQUESTS', 'slowly', { headers: { 'Retry-After': '7' } });
    },
  });
  const answer = await ask(running, { path: '/v2/a/manifests/1' });
  t.is(answer.status, 429);
  t.is(answer.headers['content-type'], 'application/json');
  t.is(answer.headers['retry-after'], '7');
  t.is(answer.headers['cache-status'], 'Layover; detail=TOOMANYREQUESTS');
  t.deepEqual(JSON.parse(answer.body.toString()), { errors: [{ code: 'TOOMANYREQUESTS', message: 'slowly' }] });
});

test('an error nobody expected tells the client nothing and the log what it was', async (t) => {
  const running = await start(t, {
    endpoints: async () => {
      throw new Error('disk on fire', { cause: new Error('EIO') });
    },
  });
  const answer = await ask(running, { path: '/v2/a/manifests/1' });
  t.is(answer.status, 500);
  t.is(JSON.parse(answer.body.toString()).errors[0].code, 'UNKNOWN');
  t.notRegex(answer.body.toString(), /fire|EIO/);
  await until(() => running.events.length > 0);
  t.is(running.events[0]?.error, 'Error: disk on fire (Error: EIO)');
});

test('one event tells of each request when it is over', async (t) => {
  const running = await start(t, {
    endpoints: async () => ({ ...text('12345'), outcome: { ...HIT, upstreamTime: 3 } }),
  });
  await ask(running, { path: `/v2/a/b/blobs/${DIGEST}?token=secret`, headers: { Referer: 'r' } });
  await until(() => running.events.length > 0);
  const [event] = running.events;
  t.like(event, {
    client: '127.0.0.1',
    door: 'transparent',
    method: 'GET',
    host: 'registry.example',
    path: `/v2/a/b/blobs/${DIGEST}`,
    httpVersion: '1.1',
    kind: 'blob',
    upstream: 'registry.example',
    repository: 'a/b',
    reference: DIGEST,
    status: 200,
    cache: 'hit',
    why: 'stored',
    bytes: 5,
    upstreamTime: 3,
    referer: 'r',
    aborted: false,
  });
  t.true(event !== undefined && event.firstByte > 0 && event.total >= event.firstByte);
  t.notRegex(JSON.stringify(event), /secret/);
  t.is(running.events.length, 1);
});

test('bodies and lengths that two readers could read differently end the connection', async (t) => {
  const running = await start(t);
  const requests = [
    `GET /v2/ HTTP/1.1\r\n${HOST}Content-Length: 3\r\n\r\nabc`,
    `HEAD /v2/ HTTP/1.1\r\n${HOST}Content-Length: 3\r\n\r\nabc`,
    `DELETE /v2/a/manifests/1 HTTP/1.1\r\n${HOST}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
    `OPTIONS /v2/ HTTP/1.1\r\n${HOST}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
    `POST /v2/a/blobs/uploads/ HTTP/1.1\r\n${HOST}Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
    `POST /v2/a/blobs/uploads/ HTTP/1.1\r\n${HOST}Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n`,
    `POST /v2/a/blobs/uploads/ HTTP/1.1\r\n${HOST}Content-Length: 3\r\nContent-Length: 4\r\n\r\nabc`,
    `GET /v2/ HTTP/1.1\r\n${HOST}${HOST}\r\n`,
    'GET /v2/ HTTP/1.1\r\n\r\n',
    `GET /v2/ HTTP/1.1\r\n${HOST}Authorization: a\r\nAuthorization: b\r\n\r\n`,
    'nonsense\r\n\r\n',
    `GET /v2/ HTTP/1.1\r\n${HOST}X: ${'x'.repeat(40_000)}\r\n\r\n`,
  ];
  for (const request of requests) {
    const over = await raw(running, 'tls', `${request.replace('\r\n\r\n', '\r\nConnection: keep-alive\r\n\r\n')}`);
    t.regex(over.received, /^HTTP\/1\.1 4(?:00|31) .*connection: close/is, request.slice(0, 120));
    t.is(over.received.match(/HTTP\/1\.1/g)?.length, 1, request.slice(0, 120));
  }
});

test('an expectation we do not know is refused', async (t) => {
  const answer = await ask(await start(t), { headers: { Expect: 'miracles' } });
  t.is(answer.status, 417);
  t.is(answer.headers['content-type'], 'application/json');
});

test('a request that has been here before is answered with what to do about it', async (t) => {
  const running = await start(t);
  const loop = await ask(running, { headers: { Via: '1.1 other, 1.1 layover-test (x)' } });
  t.is(loop.status, 508);
  t.regex(loop.body.toString(), /dns\.servers/);
  const chain = await ask(running, { headers: { Via: '1.1 layover-test2, 1.1 other' } });
  t.is(chain.status, 200);
});

test('our own names offer the root certificate and say what this is', async (t) => {
  const running = await start(t);
  const certificate = await askPlain(running, { path: '/ca.crt', host: '127.0.0.1:5000' });
  t.is(certificate.headers['content-type'], 'application/x-x509-ca-cert');
  t.is(certificate.body.toString(), ca);
  const welcome = await askPlain(running, { path: '/', host: 'cache.example:5000' });
  t.regex(welcome.body.toString(), /http:\/\/cache\.example:5000\/ca\.crt/);
  t.is((await ask(running, { host: 'gateway.lan', path: '/ca.crt' })).body.toString(), ca);
  const missing = await askPlain(running, { path: '/favicon.ico' });
  t.is(missing.status, 404);
  t.is(missing.headers['content-type'], 'application/json');
});

test('a presented host is led from the plain listener to https', async (t) => {
  const running = await start(t);
  const page = await askPlain(running, { path: '/a?b=c', host: 'registry.example' });
  t.is(page.status, 308);
  t.is(page.headers.location, 'https://registry.example/a?b=c');
  const api = await askPlain(running, { path: '/v2/', host: 'registry.example' });
  t.is(api.status, 421);
});
