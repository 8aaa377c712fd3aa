import { once } from 'node:events';
import { createServer } from 'node:net';
import test from 'ava';
import { isOwnVia, VIA } from '../../src/upstream/via.ts';
import { bearerRegistry, deadPort, eventsOf, MANIFEST, pull, serve, textOf, upstreamOf } from './support.ts';

test('an upstream sees the listed header fields and nothing else', async (t) => {
  const site = await serve(t, (_request, response) => response.end('x'));
  const upstream = upstreamOf(t, { urls: [site.url] });
  const response = await upstream.request(
    pull({
      accept: ['application/vnd.oci.image.index.v1+json', 'application/json'],
      range: { start: 5, end: 10 },
      userAgent: 'docker/29',
      identity: { kind: 'forward', authorization: 'Bearer t', principal: 'p' },
    }),
  );
  t.is(await textOf(response.body), 'x');
  t.deepEqual(site.seen[0]?.headers, {
    accept: 'application/vnd.oci.image.index.v1+json, application/json',
    'accept-encoding': 'identity',
    authorization: 'Bearer t',
    connection: 'keep-alive',
    host: site.url.host,
    range: 'bytes=5-9',
    'user-agent': 'docker/29',
    via: VIA,
  });
});

test('without wishes of the client a request names layover and, for a manifest, the types of today', async (t) => {
  const site = await serve(t, (_request, response) => response.end('x'));
  const response = await upstreamOf(t, { urls: [site.url] }).request(pull({ method: 'HEAD' }));
  t.is(await textOf(response.body), '');
  t.deepEqual(Object.keys(site.seen[0]?.headers ?? {}).sort(), [
    'accept',
    'accept-encoding',
    'connection',
    'host',
    'user-agent',
    'via',
  ]);
  t.is(site.seen[0]?.headers['user-agent'], 'layover');
});

test('an open-ended range stays open-ended, and a 206 comes back as it is', async (t) => {
  const site = await serve(t, (_request, response) => {
    response.writeHead(206, { 'content-range': 'bytes 7-9/10' }).end('789');
  });
  const { status, headers, body } = await upstreamOf(t, { urls: [site.url] }).request(pull({ range: { start: 7 } }));
  t.is(site.seen[0]?.headers.range, 'bytes=7-');
  t.deepEqual([status, headers['content-range'], await textOf(body)], [206, 'bytes 7-9/10', '789']);
});

test('the path is put below the base URL, query included', async (t) => {
  const site = await serve(t, (_request, response) => response.end());
  for (const base of [`${site.url.origin}/mirror`, `${site.url.origin}/mirror/`]) {
    const response = await upstreamOf(t, { urls: [new URL(base)] }).request(
      pull({ path: '/v2/a/tags/list?n=2&last=%2Bx' }),
    );
    response.body.resume();
  }
  t.deepEqual(
    site.seen.map(({ url }) => url),
    Array(2).fill('/mirror/v2/a/tags/list?n=2&last=%2Bx'),
  );
});

test('answers below 500 are passed on with their fields in lower case and every challenge line by itself', async (t) => {
  for (const status of [200, 400, 401, 403, 404, 405, 416]) {
    const site = await serve(t, (_request, response) => {
      response.writeHead(status, [
        ['X-One', 'a'],
        ['X-One', 'b'],
        ['WWW-Authenticate', 'Basic realm="r"'],
        ['WWW-Authenticate', 'Negotiate'],
      ]);
      response.end('body');
    });
    const identity = { kind: 'forward', authorization: 'Basic eDp5', principal: 'p' } as const;
    const answer = await upstreamOf(t, { urls: [site.url] }).request(pull({ identity }));
    t.is(answer.status, status);
    t.is(answer.headers['x-one'], 'a, b');
    t.deepEqual(answer.challenges, ['Basic realm="r"', 'Negotiate']);
    t.is(await textOf(answer.body), 'body');
    t.is(site.seen.length, 1);
  }
});

test('a body is handed on undecoded', async (t) => {
  const site = await serve(t, (_request, response) =>
    response.writeHead(200, { 'content-encoding': 'gzip' }).end('raw'),
  );
  const { headers, body } = await upstreamOf(t, { urls: [site.url] }).request(pull());
  t.is(headers['content-encoding'], 'gzip');
  t.is(await textOf(body), 'raw');
});

test('a body that is destroyed unread harms nobody', async (t) => {
  const site = await serve(t, (_request, response) => response.write(Buffer.alloc(100_000)));
  const upstream = upstreamOf(t, { urls: [site.url] });
  const first = await upstream.request(pull());
  first.body.destroy();
  const second = await upstream.request(pull());
  second.body.destroy();
  t.is(site.seen.length, 2);
});

test('an aborted request throws the reason of its signal, before and after it is sent', async (t) => {
  const site = await serve(t, () => {});
  const upstream = upstreamOf(t, { urls: [site.url] });
  const reason = new Error('the client left');
  await t.throwsAsync(upstream.request(pull({ signal: AbortSignal.abort(reason) })), { is: reason });
  t.is(site.seen.length, 0);
  const controller = new AbortController();
  const running = upstream.request(pull({ signal: controller.signal }));
  while (site.seen.length === 0) await new Promise(setImmediate);
  controller.abort(reason);
  await t.throwsAsync(running, { is: reason });
});

test('an abort ends the body that is on its way', async (t) => {
  const site = await serve(t, (_request, response) => response.write('part'));
  const controller = new AbortController();
  const { body } = await upstreamOf(t, { urls: [site.url] }).request(pull({ signal: controller.signal }));
  await once(body, 'readable');
  controller.abort(new Error('enough'));
  await t.throwsAsync(textOf(body), { message: 'enough' });
});

test('an answer whose head does not come in time is a failure that is not tried again', async (t) => {
  const site = await serve(t, () => {});
  const started = performance.now();
  const error = await t.throwsAsync(upstreamOf(t, { urls: [site.url] }).request(pull({ headTimeout: 3_000 })));
  t.like(error, { failure: 'unreachable', transient: false });
  t.true(performance.now() - started < 20_000);
  t.is(site.seen.length, 1);
});

test('what is not HTTP is a broken protocol', async (t) => {
  const server = createServer((socket) => socket.on('error', () => {}).end('SSH-2.0-OpenSSH_9.2\r\n')).listen(
    0,
    '127.0.0.1',
  );
  await once(server, 'listening');
  t.teardown(() => server.close());
  const address = server.address();
  const port = typeof address === 'object' ? address?.port : 0;
  const error = await t.throwsAsync(upstreamOf(t, { urls: [new URL(`http://127.0.0.1:${port}`)] }).request(pull()));
  t.like(error, { failure: 'protocol' });
});

test('what comes after the end of an answer is never taken for the next one', async (t) => {
  let connections = 0;
  const server = createServer((socket) => {
    connections += 1;
    socket.on('error', () => {});
    socket.once('data', () => {
      socket.write('HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nokHTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\npoison');
    });
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => server.close());
  const address = server.address();
  const port = typeof address === 'object' ? address?.port : 0;
  const upstream = upstreamOf(t, { urls: [new URL(`http://127.0.0.1:${port}`)] });
  for (let n = 0; n < 5; n += 1) t.is(await textOf((await upstream.request(pull())).body), 'ok');
  t.is(connections, 5);
});

test('a slow pile of downloads does not hold up a HEAD', async (t) => {
  const site = await serve(t, ({ method }, response) => {
    if (method === 'GET') response.write('never ends');
    else response.end();
  });
  const upstream = upstreamOf(t, { urls: [site.url] });
  const path = '/v2/a/blobs/sha256:0';
  const bodies = await Promise.all(Array.from({ length: 32 }, () => upstream.request(pull({ kind: 'blob', path }))));
  t.is((await upstream.request(pull({ kind: 'blob', method: 'HEAD', path, headTimeout: 2_000 }))).status, 200);
  t.is((await upstream.request(pull({ method: 'HEAD', headTimeout: 2_000 }))).status, 200);
  for (const { body } of bodies) body.destroy();
});

test('every exchange on the wire is published, with its kind and its outcome', async (t) => {
  const events = eventsOf(t, 'upstreamRequest');
  const site = await serve(
    t,
    bearerRegistry({
      accepts: (authorization) => authorization === 'Bearer tok',
      challenge: ({ headers }) => `Bearer realm="http://${headers.host}/token",service="s"`,
      issue: (_request, response) => response.end('{"token":"tok"}'),
    }),
  );
  const name = 'published.example';
  await upstreamOf(t, { name, urls: [site.url] }).request(pull());
  const dead = `http://127.0.0.1:${await deadPort(t)}`;
  await t.throwsAsync(upstreamOf(t, { name, urls: [new URL(dead)] }).request(pull({ method: 'HEAD' })));
  const mine = events.filter(({ upstream }) => upstream === name);
  t.deepEqual(
    mine.slice(0, 3).map(({ kind, method, status }) => [kind, method, status]),
    [
      ['manifest', 'GET', 401],
      ['token', 'GET', 200],
      ['manifest', 'GET', 200],
    ],
  );
  t.like(mine[3], { kind: 'manifest', method: 'HEAD', status: undefined });
  t.regex(mine[3]?.error ?? '', /ECONNREFUSED/);
  t.true(mine.every(({ time }) => time >= 0));
});

test('a Via field tells this process from others', (t) => {
  t.true(isOwnVia(VIA));
  t.true(isOwnVia(`1.0 fred, ${VIA} , 1.1 p.example.net`));
  for (const other of [undefined, '', '1.1 layover', '1.1 layover-000000000000', `${VIA}0`]) t.false(isOwnVia(other));
});

test('paths that are none never reach the wire', async (t) => {
  const site = await serve(t, (_request, response) => response.end());
  await t.throwsAsync(upstreamOf(t, { urls: [site.url] }).request(pull({ path: '@evil.example/' })));
  t.is(site.seen.length, 0);
  t.true(MANIFEST.startsWith('/v2/'));
});
