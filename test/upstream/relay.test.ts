import type { ServerResponse } from 'node:http';
import type { ExecutionContext } from 'ava';
import test from 'ava';
import type { UpstreamError } from '../../src/upstream/contract.ts';
import { deadPort, pull, type Seen, type Site, serve, upstreamOf } from './support.ts';

const signal = new AbortController().signal;

/** A registry that answers every request but `/token` with its challenge. */
function registry(t: ExecutionContext, token: (request: Seen, response: ServerResponse) => void): Promise<Site> {
  return serve(t, (request, response) => {
    if (request.url.startsWith('/token')) token(request, response);
    else {
      const challenge = `Bearer realm="http://${request.headers.host}/token",service="registry.example"`;
      response.writeHead(401, { 'www-authenticate': challenge, 'content-type': 'application/json' }).end('{}');
    }
  });
}

test('a ping asks /v2/ and tells status and challenges', async (t) => {
  const site = await registry(t, () => {});
  const upstream = upstreamOf(t, { urls: [site.url] });
  t.is(upstream.challenge(), undefined);
  const record = await upstream.ping();
  t.is(record.status, 401);
  t.regex(record.challenges[0] ?? '', /registry\.example/);
  t.is(upstream.challenge()?.params.get('service'), 'registry.example');
  t.like(site.seen[0], { method: 'GET', url: '/v2/' });
  await upstream.ping('Bearer client');
  t.deepEqual(
    site.seen.map(({ headers }) => headers.authorization),
    [undefined, 'Bearer client'],
  );
});

test('a ping of an open registry tells 200, and an unreachable one fails', async (t) => {
  const site = await serve(t, (_request, response) => response.end('{}'));
  const upstream = upstreamOf(t, { urls: [site.url] });
  t.deepEqual(await upstream.ping(), { status: 200, challenges: [] });
  await site.close();
  t.like(await t.throwsAsync(upstream.ping()), { failure: 'unreachable' });
});

test('a client’s token GET is relayed with its query and its credentials, and answered verbatim', async (t) => {
  const body = '{"token":"x" , "expires_in":300}';
  const site = await registry(t, (_request, response) => {
    response.writeHead(200, { 'content-type': 'application/json; charset=utf-8' }).end(body);
  });
  const query = new URLSearchParams(
    'service=registry.example&scope=repository:a:pull&scope=repository:b:pull&account=u',
  );
  const answer = await upstreamOf(t, { urls: [site.url] }).token({
    method: 'GET',
    query,
    authorization: 'Basic canary',
    body: new Uint8Array(),
    contentType: 'text/plain',
    signal,
  });
  t.is(answer.status, 200);
  t.is(Buffer.from(answer.bytes).toString(), body);
  t.is(answer.headers['content-type'], 'application/json; charset=utf-8');
  t.is(site.seen[0]?.url, '/v2/');
  t.is(site.seen[0]?.headers.authorization, undefined);
  t.deepEqual([...new URLSearchParams(site.seen[1]?.url.split('?')[1])], [...query]);
  t.deepEqual(Object.keys(site.seen[1]?.headers ?? {}).sort(), [
    'accept',
    'accept-encoding',
    'authorization',
    'connection',
    'host',
    'via',
  ]);
  t.is(site.seen[1]?.headers.authorization, 'Basic canary');
});

test('a client’s token POST is relayed with its form, and its refusals reach the client', async (t) => {
  for (const status of [200, 400, 401, 404, 405]) {
    const site = await registry(t, (_request, response) => response.writeHead(status).end('said'));
    const answer = await upstreamOf(t, { urls: [site.url] }).token({
      method: 'POST',
      query: new URLSearchParams(),
      body: Buffer.from('grant_type=password&password=canary'),
      contentType: 'application/x-www-form-urlencoded',
      signal,
    });
    t.deepEqual([answer.status, Buffer.from(answer.bytes).toString()], [status, 'said']);
    t.like(site.seen[1], { method: 'POST', url: '/token', body: 'grant_type=password&password=canary' });
    t.is(site.seen[1]?.headers['content-type'], 'application/x-www-form-urlencoded');
  }
});

test('token GETs are retried, POSTs are not', async (t) => {
  for (const [method, calls] of [
    ['GET', 3],
    ['POST', 1],
  ] as const) {
    const site = await registry(t, (_request, response) => response.writeHead(503).end('down'));
    const asked = upstreamOf(t, { urls: [site.url] }).token({ method, query: new URLSearchParams(), signal });
    t.like(await t.throwsAsync<UpstreamError>(asked), { failure: 'unreachable', status: 503 });
    t.is(site.seen.length, 1 + calls);
  }
});

test('a throttled token request tells when to come again', async (t) => {
  const site = await registry(t, (_request, response) => response.writeHead(429, { 'retry-after': '9' }).end());
  const asked = upstreamOf(t, { urls: [site.url] }).token({ method: 'GET', query: new URLSearchParams(), signal });
  t.like(await t.throwsAsync(asked), { failure: 'throttled', retryAfter: 9 });
});

test('a remembered challenge is enough to relay, and a live one replaces it', async (t) => {
  const site = await registry(t, (_request, response) => response.end('{"token":"x"}'));
  const upstream = upstreamOf(t, { urls: [site.url] });
  const challenges = [`Bearer realm="${site.url.origin}/token/old",service="old"`];
  upstream.remember({ status: 401, challenges });
  await upstream.token({ method: 'GET', query: new URLSearchParams(), signal });
  t.deepEqual(
    site.seen.map(({ url }) => url),
    ['/token/old'],
  );
  const identity = { kind: 'forward', authorization: 'Bearer stale', principal: 'p' } as const;
  await upstream.request(pull({ identity }));
  upstream.remember({ status: 401, challenges });
  await upstream.token({ method: 'GET', query: new URLSearchParams(), signal });
  t.is(site.seen.at(-1)?.url, '/token');
});

test('credentials go to no token server that the configuration does not allow', async (t) => {
  const thief = await serve(t, (_request, response) => response.end('{}'));
  const site = await serve(t, (_request, response) => {
    response.writeHead(401, { 'www-authenticate': `Bearer realm="${thief.url.origin}/token",service="s"` }).end();
  });
  const relay = { method: 'GET', query: new URLSearchParams(), authorization: 'Basic canary', signal } as const;
  const error = await t.throwsAsync(upstreamOf(t, { urls: [site.url] }).token(relay));
  t.like(error, { failure: 'protocol' });
  t.is(thief.seen.length, 0);
  await upstreamOf(t, { urls: [site.url], tokenHosts: [thief.url.host] }).token(relay);
  t.is(thief.seen.length, 1);
});

test('a redirecting token server sends the credentials nowhere', async (t) => {
  const thief = await serve(t, (_request, response) => response.end('{"token":"x"}'));
  const site = await registry(t, (_request, response) => response.writeHead(307, { location: thief.url.href }).end());
  const asked = upstreamOf(t, { urls: [site.url] }).token({
    method: 'GET',
    query: new URLSearchParams(),
    authorization: 'Basic canary',
    signal,
  });
  t.like(await t.throwsAsync(asked), { failure: 'protocol' });
  t.is(thief.seen.length, 0);
});

test('an upstream that issues no tokens says so', async (t) => {
  for (const challenge of [[], ['Basic realm="r"']]) {
    const site = await serve(t, (_request, response) => {
      response.writeHead(
        challenge.length === 0 ? 200 : 401,
        challenge.length === 0 ? [] : ['www-authenticate', ...challenge],
      );
      response.end();
    });
    const asked = upstreamOf(t, { urls: [site.url] }).token({ method: 'GET', query: new URLSearchParams(), signal });
    t.like(await t.throwsAsync(asked), { failure: 'protocol', message: 'test.example issues no tokens' });
  }
});

test('a token server that cannot be connected to fails at once after three attempts, the registry goes on', async (t) => {
  const host = `127.0.0.1:${await deadPort(t)}`;
  const site = await serve(t, (_request, response) => {
    response.writeHead(401, { 'www-authenticate': `Bearer realm="http://${host}/token",service="s"` }).end();
  });
  const upstream = upstreamOf(t, { urls: [site.url], tokenHosts: [host] });
  const relay = { method: 'GET', query: new URLSearchParams(), signal } as const;
  t.like(await t.throwsAsync(upstream.token(relay)), { failure: 'unreachable' });
  t.like(await t.throwsAsync(upstream.token(relay)), { failure: 'unreachable', message: `${host} cannot be reached` });
  t.true(upstream.available);
  t.is((await upstream.ping()).status, 401);
});
