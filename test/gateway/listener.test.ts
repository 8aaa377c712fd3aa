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
    listen: { https: address, http: address, admin: address, ...listen },
    names: ['gateway.lan'],
    mirror: {},
    hosted: { repositories: [] },
    upstreams: { 'registry.example': upstreamConfig('registry.example') },
  };
}

test('port 0 picks a port, and all addresses of the machine includes IPv4', async (t) => {
  const running = await start(t, { config: config({ http: { host: '::', port: 0 } }) });
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

  const running = await start(t, { config: config({ http: { host: '127.0.0.1', port, fallbackPort: 0 } }) });
  t.not(running.http.port, port);
  t.true(notices.some((message) => message.includes(`port ${port} cannot be bound (EADDRINUSE)`)));
  await t.throwsAsync(start(t, { config: config({ http: { host: '127.0.0.1', port } }) }), { code: 'EADDRINUSE' });
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
  running.gateway.tlsServer.setSecureContext({ cert, key });
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
  t.true(gateway.tlsServer.keepAliveTimeout >= 120_000);
  t.is(gateway.tlsServer.headersTimeout, 15_000);
  t.is(gateway.tlsServer.requestTimeout, 0);
});
