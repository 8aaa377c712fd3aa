import test from 'ava';
import { createAuthority } from '../support/pki.ts';
import { bearerRegistry, pull, type Respond, serve, textOf, upstreamOf } from './support.ts';

const BLOB = '/v2/library/nginx/blobs/sha256:0';
const blob = { kind: 'blob', path: BLOB } as const;
const forward = { kind: 'forward', authorization: 'Bearer client', principal: 'p' } as const;

const to =
  (location: string | (() => string), status = 307): Respond =>
  (_request, response) => {
    response.writeHead(status, { location: typeof location === 'string' ? location : location() }).end();
  };

for (const status of [301, 302, 303, 307, 308]) {
  test(`a ${status} to another host is followed without credentials, Range and Accept kept`, async (t) => {
    const storage = await serve(t, (_request, response) => response.writeHead(206).end('bytes'));
    const registry = await serve(t, to(`${storage.url.origin}/data?sig=1`, status));
    const upstream = upstreamOf(t, { urls: [registry.url] });
    const range = { start: 3, end: 8 };
    const { body } = await upstream.request(pull({ ...blob, identity: forward, range, accept: ['a/b'] }));
    t.is(await textOf(body), 'bytes');
    t.is(registry.seen[0]?.headers.authorization, 'Bearer client');
    t.like(storage.seen[0], { method: 'GET', url: '/data?sig=1' });
    t.like(storage.seen[0]?.headers, { range: 'bytes=3-7', accept: 'a/b', authorization: undefined });
    t.is(storage.seen[0]?.headers.authorization, undefined);
  });
}

test('a relative Location is resolved and keeps the credentials of its origin', async (t) => {
  const registry = await serve(t, (request, response) => {
    if (request.url === '/artifacts-downloads/x?y=z') response.end('bytes');
    else to('/artifacts-downloads/x?y=z', 302)(request, response);
  });
  const { body } = await upstreamOf(t, { urls: [registry.url] }).request(pull({ ...blob, identity: forward }));
  t.is(await textOf(body), 'bytes');
  t.is(registry.seen[1]?.headers.authorization, 'Bearer client');
});

test('a page and a max-age on a redirect make no difference, and it is asked for anew every time', async (t) => {
  const storage = await serve(t, (_request, response) => response.end('bytes'));
  const registry = await serve(t, (_request, response) => {
    const headers = { location: storage.url.href, 'cache-control': 'max-age=31536000', 'content-type': 'text/html' };
    response.writeHead(302, headers).end('<html>Redirecting</html>');
  });
  const upstream = upstreamOf(t, { urls: [registry.url] });
  for (let n = 0; n < 3; n += 1) t.is(await textOf((await upstream.request(pull(blob))).body), 'bytes');
  t.is(registry.seen.length, 3);
});

test('credentials that were dropped at one hop do not come back at a later one', async (t) => {
  const registry = await serve(t, (request, response) => {
    if (request.url === '/back') response.end('bytes');
    else to(`${other.url.origin}/hop`)(request, response);
  });
  const other = await serve(
    t,
    to(() => `${registry.url.origin}/back`),
  );
  const { body } = await upstreamOf(t, { urls: [registry.url] }).request(pull({ ...blob, identity: forward }));
  t.is(await textOf(body), 'bytes');
  t.deepEqual(
    registry.seen.map(({ headers }) => headers.authorization),
    ['Bearer client', undefined],
  );
});

test('five redirects are followed, a sixth is not', async (t) => {
  const registry = await serve(t, ({ url }, response) => {
    const [, hops = '0', limit = '0'] = /(\d+)of(\d+)$/.exec(url) ?? [];
    if (hops === limit) response.end('there');
    else to(`/hop/${Number(hops) + 1}of${limit}`)({ method: '', url, headers: {}, body: '' }, response);
  });
  const upstream = upstreamOf(t, { urls: [registry.url] });
  t.is(await textOf((await upstream.request(pull({ path: '/0of5' }))).body), 'there');
  t.is(registry.seen.length, 6);
  await t.throwsAsync(upstream.request(pull({ path: '/0of6' })), { message: /redirects more than 5 times/ });
  t.is(registry.seen.length, 12);
});

test('a redirect without Location, and statuses that cannot be followed, break the protocol', async (t) => {
  for (const status of [300, 305, 306, 307]) {
    const registry = await serve(t, (_request, response) => response.writeHead(status).end());
    const error = await t.throwsAsync(upstreamOf(t, { urls: [registry.url] }).request(pull()));
    t.like(error, { failure: 'protocol' });
    t.is(registry.seen.length, 1);
  }
});

test('a public registry cannot send us to a name with a private address, unless that name is listed', async (t) => {
  const authority = createAuthority();
  const tls = authority.issue(['registry.example', 'inside.example']);
  const storage = await serve(t, (_request, response) => response.end('inside'), tls);
  const target = `https://inside.example:${storage.port}`;
  const registry = await serve(t, to(`${target}/secret`), tls);
  const options = { ca: authority.ca, urls: [new URL(`https://registry.example:${registry.port}`)] };
  // One of its addresses is public, so the registry counts as public; the other is tried first and is the real one.
  const pins = { 'registry.example': ['127.0.0.1', '8.8.8.8'], 'inside.example': ['127.0.0.1'] };
  const error = await t.throwsAsync(upstreamOf(t, options, { pins }).request(pull(blob)));
  t.like(error, { failure: 'protocol' });
  t.regex(error?.message ?? '', /inside\.example/);
  const mixed = { ...pins, 'inside.example': ['127.0.0.1', '8.8.8.8'] };
  await t.throwsAsync(upstreamOf(t, options, { pins: mixed }).request(pull(blob)), { message: /private address/ });
  t.is(storage.seen.length, 0);
  const listed = { ...options, blobHosts: [`inside.example:${storage.port}`] };
  t.is(await textOf((await upstreamOf(t, listed, { pins }).request(pull(blob))).body), 'inside');
});

test('a public registry cannot send us to http, to loopback or to the cloud metadata address', async (t) => {
  const authority = createAuthority();
  const storage = await serve(t, (_request, response) => response.end('inside'));
  const tls = authority.issue(['registry.example']);
  const pins = { 'registry.example': ['127.0.0.1', '8.8.8.8'], 'cdn.example': ['127.0.0.1'] };
  const targets = [
    storage.url.href,
    `http://cdn.example:${storage.port}/`,
    `http://localhost:${storage.port}/`,
    `https://localhost:${storage.port}/`,
    `https://127.0.0.1:${storage.port}/`,
    `https://[::1]:${storage.port}/`,
    `https://[::ffff:127.0.0.1]:${storage.port}/`,
    'http://169.254.169.254/latest/meta-data/',
    'https://169.254.169.254/latest/meta-data/',
    'file:///etc/passwd',
  ];
  for (const target of targets) {
    const registry = await serve(t, to(target), tls);
    const urls = [new URL(`https://registry.example:${registry.port}`)];
    const error = await t.throwsAsync(upstreamOf(t, { ca: authority.ca, urls }, { pins }).request(pull(blob)));
    t.like(error, { failure: 'protocol' }, target);
    t.is(registry.seen.length, 1);
  }
  t.is(storage.seen.length, 0);
});

test('storage that refuses HEAD is asked for the first byte instead', async (t) => {
  const storage = await serve(t, ({ method, headers }, response) => {
    if (method === 'HEAD') response.writeHead(403).end();
    else if (headers.range === 'bytes=0-0') {
      response.writeHead(206, { 'content-range': 'bytes 0-0/123456', 'content-length': 1, etag: '"e"' }).end('x');
    } else response.end('all of it');
  });
  const registry = await serve(t, to(`${storage.url.origin}/data`));
  const answer = await upstreamOf(t, { urls: [registry.url] }).request(pull({ ...blob, method: 'HEAD' }));
  t.is(answer.status, 200);
  t.like(answer.headers, { 'content-length': '123456', etag: '"e"' });
  t.false('content-range' in answer.headers);
  t.is(await textOf(answer.body), '');
});

test('storage that refuses HEAD and ignores Range still tells the length, also of nothing', async (t) => {
  for (const [status, headers, size] of [
    [200, { 'content-length': '77' }, '77'],
    [416, { 'content-range': 'bytes */0' }, '0'],
  ] as const) {
    const storage = await serve(t, ({ method }, response) => {
      response.writeHead(method === 'HEAD' ? 405 : status, method === 'HEAD' ? {} : headers);
      response.end(method === 'HEAD' || status === 416 ? '' : 'x'.repeat(77));
    });
    const registry = await serve(t, to(`${storage.url.origin}/data`));
    const answer = await upstreamOf(t, { urls: [registry.url] }).request(pull({ ...blob, method: 'HEAD' }));
    t.is(answer.status, 200);
    t.is(answer.headers['content-length'], size);
  }
});

test('the same holds for storage on the registry’s own host', async (t) => {
  const registry = await serve(t, (request, response) => {
    if (!request.url.startsWith('/artifacts-downloads/')) to('/artifacts-downloads/x', 302)(request, response);
    else if (request.method === 'HEAD') response.writeHead(403).end();
    else response.writeHead(206, { 'content-range': 'bytes 0-0/9' }).end('x');
  });
  const answer = await upstreamOf(t, { urls: [registry.url] }).request(pull({ ...blob, method: 'HEAD' }));
  t.is(answer.headers['content-length'], '9');
});

test('an expired signature is cured by a new redirect', async (t) => {
  let signature = 0;
  const storage = await serve(t, ({ url }, response) => {
    if (url.endsWith('=1')) response.writeHead(403).end('<Error>Request has expired</Error>');
    else response.end('bytes');
  });
  const registry = await serve(
    t,
    to(() => {
      signature += 1;
      return `${storage.url.origin}/data?sig=${signature}`;
    }),
  );
  const { status, body } = await upstreamOf(t, { urls: [registry.url] }).request(pull(blob));
  t.deepEqual([status, await textOf(body)], [200, 'bytes']);
});

test('storage that goes on refusing is a failure of the upstream, not a refusal of the caller', async (t) => {
  const storage = await serve(t, (_request, response) => response.writeHead(403).end());
  const registry = await serve(t, to(`${storage.url.origin}/data?X-Signature=secret`));
  const error = await t.throwsAsync(upstreamOf(t, { urls: [registry.url] }).request(pull(blob)));
  t.like(error, { failure: 'unreachable', status: undefined });
  t.notRegex(String(error?.stack), /secret/);
});

test('a redirect to another registry is followed with an anonymous token of that one', async (t) => {
  const other = await serve(
    t,
    bearerRegistry({
      accepts: (authorization) => authorization === 'Bearer other',
      challenge: ({ headers }) =>
        `Bearer realm="http://${headers.host}/token",service="other",scope="repository:org/nginx:pull"`,
      issue: (_request, response) => response.end('{"token":"other"}'),
    }),
  );
  const registry = await serve(
    t,
    to(() => `${other.url.origin}/v2/org/nginx/manifests/latest`),
  );
  const accounts = { bot: { username: 'u', password: 'canary' } };
  const upstream = upstreamOf(t, { urls: [registry.url], accounts });
  for (const identity of [forward, { kind: 'configured', account: 'bot' }, { kind: 'anonymous' }] as const) {
    t.is(await textOf((await upstream.request(pull({ identity }))).body), 'content');
  }
  const shown = other.seen.map(({ headers }) => headers.authorization);
  t.deepEqual(shown, [undefined, undefined, 'Bearer other', 'Bearer other', 'Bearer other']);
  t.is(other.seen[1]?.url, '/token?service=other&scope=repository%3Aorg%2Fnginx%3Apull');
});

test('another registry’s Basic challenge and its refusals are answers', async (t) => {
  for (const [status, challenge] of [
    [401, 'Basic realm="x"'],
    [403, undefined],
    [404, undefined],
  ] as const) {
    const other = await serve(t, (_request, response) => {
      response.writeHead(status, challenge === undefined ? {} : { 'www-authenticate': challenge }).end('no');
    });
    const registry = await serve(t, to(`${other.url.origin}/v2/org/nginx/manifests/latest`));
    const accounts = { bot: { username: 'u', password: 'canary' } };
    const upstream = upstreamOf(t, { urls: [registry.url], accounts });
    t.is((await upstream.request(pull({ identity: { kind: 'configured', account: 'bot' } }))).status, status);
    t.true(other.seen.every(({ headers }) => headers.authorization === undefined));
  }
});
