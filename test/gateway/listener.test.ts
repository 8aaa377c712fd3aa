import type { RequestListener } from 'node:http';
import { createServer } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import test from 'ava';
import { subscribe } from '../../src/events.ts';
import type { GatewayOptions } from '../../src/gateway/gateway.ts';
import {
  ask,
  askPlain,
  authority,
  dial,
  HIT,
  raw,
  readAll,
  sourceOf,
  start,
  text,
  until,
  upstreamConfig,
} from './start.ts';

const address = { host: '127.0.0.1', port: 0 };

function config(listen: Partial<GatewayOptions['config']['listen']>): GatewayOptions['config'] {
  return {
    listen: { https: [address], http: [address], admin: [address], proxies: [], ...listen },
    metrics: 'admin',
    names: ['gateway.lan'],
    mirror: {},
    hosted: { repositories: [], push: 'none', delete: [] },
    upstreams: { 'registry.example': upstreamConfig('registry.example') },
  };
}

test('port 0 picks a port, and all addresses of the machine includes IPv4', async (t) => {
  const running = await start(t, { config: config({ http: [{ host: '::', port: 0 }] }) });
  t.true(running.http.port > 0);
  t.true(running.https.port > 0);
  t.is((await askPlain(running)).status, 200);
});

test('a port that cannot be had is replaced by the fallback, or fails when there is none', async (t) => {
  const taken = createServer();
  await new Promise<void>((resolve) => taken.listen({ ...address }, resolve));
  t.teardown(() => taken.close());
  const { port } = taken.address() as { port: number };
  const notices: string[] = [];
  t.teardown(subscribe('notice', ({ message }) => notices.push(message)));

  const running = await start(t, { config: config({ http: [{ host: '127.0.0.1', port, fallbackPort: 0 }] }) });
  t.not(running.http.port, port);
  t.true(notices.some((message) => message.includes(`port ${port} cannot be bound (EADDRINUSE)`)));
  await t.throwsAsync(start(t, { config: config({ http: [{ host: '127.0.0.1', port }] }) }), { code: 'EADDRINUSE' });
});

test('the admin address is served when there is something to serve', async (t) => {
  const { admin, ...running } = await start(t, { admin: (_, response) => response.end('ready') });
  const answer = await askPlain({ ...running, http: admin ?? running.http });
  t.is(answer.body.toString(), 'ready');
});

test('garbage is answered with 400 and the end of the connection', async (t) => {
  const running = await start(t);
  for (const over of ['tls', 'plain'] as const) {
    const { received, ended } = await raw(running, over, 'GET / HTTP/1.1\r\nHost x\r\n\r\n');
    t.regex(received, /^HTTP\/1\.1 400 /);
    t.true(ended);
  }
});

test('a failed handshake is a notice, not the end', async (t) => {
  const notices: string[] = [];
  t.teardown(subscribe('notice', ({ message }) => notices.push(message)));
  const running = await start(t);
  const socket = dial({ ...running, http: running.https }, 'plain');
  socket.write('this is no TLS at all');
  await readAll(socket);
  await until(() => notices.some((message) => message.startsWith('TLS handshake failed')));
  t.is((await ask(running)).status, 200);
});

test('the certificate for our own names can be replaced while running', async (t) => {
  const running = await start(t);
  const { cert, key } = authority.issue(['registry.example']);
  running.gateway.tlsServers[0].setSecureContext({ cert, key });
  t.is((await ask(running)).status, 200);
});

test('closing lets a running answer finish, says so to its client, and takes no new connection', async (t) => {
  let release: () => void = () => undefined;
  const started = Promise.withResolvers<void>();
  const running = await start(t, {
    endpoints: async () => {
      started.resolve();
      await new Promise<void>((resolve) => {
        release = resolve;
      });
      return text('finished');
    },
  });
  const answer = ask(running, { headers: { Connection: 'keep-alive' } });
  await started.promise;
  const closed = running.gateway.close(10_000);
  await delay(20);
  await t.throwsAsync(askPlain(running), { code: 'ECONNREFUSED' });
  release();
  const { body, headers } = await answer;
  t.is(body.toString(), 'finished');
  t.is(headers.connection, 'close');
  await closed;
});

test('closing does not wait for connections on which nothing runs', async (t) => {
  const running = await start(t);
  const fresh = dial(running, 'plain');
  const idle = dial(running, 'tls');
  idle.write('GET /v2/ HTTP/1.1\r\nHost: registry.example\r\n\r\n');
  const over = [readAll(fresh), readAll(idle)];
  await new Promise((resolve) => idle.once('data', resolve));
  const before = Date.now();
  await running.gateway.close(10_000);
  t.true(Date.now() - before < 2_000);
  await Promise.all(over);
});

test('closing cuts what is still running when its time is up', async (t) => {
  const begun = Promise.withResolvers<void>();
  const source = sourceOf(Buffer.alloc(1000), (position, signal) => {
    if (position === 0) return undefined;
    begun.resolve();
    return delay(60_000, undefined, { signal });
  });
  const body = { kind: 'source', source, range: { start: 0, end: 2000 } } as const;
  const running = await start(t, {
    endpoints: async () => ({ status: 200, headers: { 'Content-Length': '2000' }, body, outcome: HIT }),
  });
  const answer = ask(running, { path: `/v2/a/blobs/sha256:${'d'.repeat(64)}` });
  await begun.promise;
  await delay(50);
  const before = Date.now();
  await running.gateway.close(100);
  t.true(Date.now() - before < 2_000);
  t.true((await answer).cut);
  await until(() => source.disposed);
});

test('connections stay open between requests for as long as clients keep theirs', async (t) => {
  const { gateway } = await start(t);
  t.true(gateway.tlsServers[0].keepAliveTimeout >= 120_000);
  t.is(gateway.tlsServers[0].headersTimeout, 15_000);
  t.is(gateway.tlsServers[0].requestTimeout, 0);
});

test('a door may have several addresses, and closes all of them', async (t) => {
  const running = await start(t, { config: config({ https: [address, address], http: [address, address] }) });
  const { https, http } = running.bound;
  t.is(new Set([...https, ...http].map(({ port }) => port)).size, 4);
  for (const at of https) t.is((await ask({ ...running, https: at })).status, 200);
  for (const at of http) t.is((await askPlain({ ...running, http: at })).status, 200);
  await running.gateway.close(0);
  for (const at of http) await t.throwsAsync(askPlain({ ...running, http: at }), { code: 'ECONNREFUSED' });
});

test('of several addresses none stays bound when one cannot be had', async (t) => {
  const taken = createServer();
  await new Promise<void>((resolve) => taken.listen({ ...address }, resolve));
  t.teardown(() => taken.close());
  const { port } = taken.address() as { port: number };
  const free = await start(t);
  await free.gateway.close(0);
  const first = { host: '127.0.0.1', port: free.http.port };
  await t.throwsAsync(start(t, { config: config({ http: [first, { host: '127.0.0.1', port }] }) }), {
    code: 'EADDRINUSE',
  });
  await t.throwsAsync(askPlain(free), { code: 'ECONNREFUSED' });
});

test('a client from outside the allowed networks is cut off before a byte is sent, over TLS too', async (t) => {
  const notices: unknown[] = [];
  t.teardown(subscribe('notice', ({ message, fields }) => notices.push([message, fields])));
  const foreign = { ...address, allow: ['192.0.2.0/24', '2001:db8::/32'] };
  const running = await start(t, { config: config({ https: [foreign], http: [foreign] }) });
  for (const over of ['tls', 'plain'] as const) {
    const { received } = await raw(running, over, 'GET /v2/ HTTP/1.1\r\nHost: gateway.lan\r\n\r\n');
    t.is(received, '');
  }
  const hello = dial({ ...running, http: running.https }, 'plain');
  hello.write('not even TLS');
  t.is((await readAll(hello)).received, '');
  const refusal = 'a connection was refused: its address is in no network of allow';
  t.deepEqual(
    notices.find((notice) => Array.isArray(notice) && notice[0] === refusal),
    [refusal, { client: '127.0.0.1' }],
  );
});

test('a client from an allowed network is served, also when its IPv4 address comes mapped into IPv6', async (t) => {
  const near = { host: '::', port: 0, allow: ['127.0.0.0/8'] };
  const running = await start(t, { config: config({ https: [near], http: [near] }) });
  t.is((await ask(running)).status, 200);
  t.is((await askPlain(running)).status, 200);
});

test('metrics are answered on the plain listener when they are public, and there alone', async (t) => {
  const admin: RequestListener = (request, response) => response.end(`admin ${request.url}`);
  const open = await start(t, { admin, config: { ...config({}), metrics: 'public' } });
  t.is((await askPlain(open, { path: '/metrics?x' })).body.toString(), 'admin /metrics?x');
  t.not((await askPlain(open, { path: '/readyz' })).status, 200);
  t.false((await ask(open, { path: '/metrics', host: 'gateway.lan' })).body.toString().startsWith('admin'));
  const closed = await start(t, { admin });
  t.is((await askPlain(closed, { path: '/metrics' })).status, 404);
});
