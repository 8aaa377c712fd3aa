import { once } from 'node:events';
import { createServer, request as plainRequest } from 'node:http';
import { request as secureRequest } from 'node:https';
import { type AddressInfo, createServer as createTcpServer } from 'node:net';
import test from 'ava';
import { createAuthority } from '../support/pki.ts';
import { networkOf, pull, serve, textOf, upstreamOf } from './support.ts';

const authority = createAuthority();
const stranger = createAuthority('stranger');

test('a pinned name is connected to its address, over TLS trusted by the given authority', async (t) => {
  const site = await serve(t, (_request, response) => response.end('body'), authority.issue(['registry.example']));
  const urls = [new URL(`https://registry.example:${site.port}`)];
  const pins = { 'registry.example': ['127.0.0.1'] };
  const { body } = await upstreamOf(t, { urls, ca: authority.ca }, { pins }).request(pull());
  t.is(await textOf(body), 'body');
  t.is(site.seen[0]?.headers.host, `registry.example:${site.port}`);
});

test('no request is sent to a server whose certificate is not good for its name', async (t) => {
  const cases = {
    'unknown authority': stranger.issue(['registry.example']),
    'another name': authority.issue(['other.example']),
    'only a parent name': authority.issue(['example']),
    'only a sibling wildcard': authority.issue(['*.registry.example']),
    expired: authority.issue(['registry.example'], -1),
    'only an address': authority.issue(['127.0.0.1']),
  };
  for (const [what, tls] of Object.entries(cases)) {
    const site = await serve(t, (_request, response) => response.end('body'), tls);
    const urls = [new URL(`https://registry.example:${site.port}`)];
    const pins = { 'registry.example': ['127.0.0.1'] };
    const upstream = upstreamOf(t, { urls, ca: authority.ca }, { pins });
    t.like(await t.throwsAsync(upstream.request(pull())), { failure: 'unreachable' }, what);
    t.is(site.seen.length, 0, what);
  }
});

test('an address that the system refuses at once is a failure like others, and ends nothing', async (t) => {
  // Nobody connects to a group of receivers, and the system says so before anything was sent.
  for (const addresses of [['224.0.0.1'], ['224.0.0.1', '224.0.0.2'], ['224.0.0.1', 'ff02::1']]) {
    const network = networkOf({ pins: { 'registry.example': addresses } });
    for (const secure of [true, false]) {
      const error = await t.throwsAsync(network.connect({ host: 'registry.example', port: 443, secure }));
      t.like(error, { failure: 'unreachable' });
      t.regex(error?.message ?? '', /^cannot connect to registry\.example:443: E[A-Z]+$/);
    }
  }
});

test('the certificate of an IP address must name that address', async (t) => {
  for (const [names, works] of [
    [['127.0.0.1'], true],
    [['localhost'], false],
    [['127.0.0.2'], false],
  ] as const) {
    const site = await serve(t, (_request, response) => response.end('body'), authority.issue(names));
    const asked = upstreamOf(t, { urls: [site.url], ca: authority.ca }).request(pull());
    if (works) t.is((await asked).status, 200);
    else await t.throwsAsync(asked);
  }
});

test('a name that leads to one of our own listeners is refused with an explanation', async (t) => {
  const site = await serve(t, (_request, response) => response.end());
  const isOwnListener = (address: string, port: number): boolean => address === '127.0.0.1' && port === site.port;
  const urls = [new URL(`http://registry.example:${site.port}`)];
  const pins = { 'registry.example': ['127.0.0.1'] };
  const upstream = upstreamOf(t, { urls }, { pins, isOwnListener });
  for (let n = 0; n < 4; n += 1) {
    const error = await t.throwsAsync(upstream.request(pull()));
    t.like(error, { failure: 'loop' });
    t.regex(error?.message ?? '', /registry\.example resolves to this gateway.*dns\.servers.*dns\.pins/);
  }
  t.is(site.seen.length, 0);
});

test('a connection that is not made in time fails', async (t) => {
  const server = createTcpServer((socket) => socket.on('error', () => {})).listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => server.close());
  const { port } = server.address() as AddressInfo;
  const started = performance.now();
  const error = await t.throwsAsync(networkOf().connect({ host: '127.0.0.1', port, secure: true, timeout: 150 }));
  t.like(error, { failure: 'unreachable', transient: false });
  t.true(performance.now() - started < 8_000);
});

test('a guarded connection goes to no private address, however it is written', async (t) => {
  const pins = { 'a.example': ['10.0.0.1'], 'b.example': ['8.8.8.8', 'fd00::1'], 'c.example': ['::ffff:127.0.0.1'] };
  for (const host of ['a.example', 'b.example', 'c.example', 'localhost', '127.0.0.1', '::1', '::ffff:10.0.0.1']) {
    const connected = networkOf({ pins }).connect({ host, port: 9, secure: false, guarded: true });
    t.like(await t.throwsAsync(connected), { failure: 'protocol' }, host);
  }
});

test('an agent for node:http and node:https resolves, trusts and refuses as the network does', async (t) => {
  const plain = await serve(t, (_request, response) => response.end('plain'));
  const secure = await serve(t, (_request, response) => response.end('secure'), authority.issue(['registry.example']));
  const pins = { 'registry.example': ['127.0.0.1'], 'self.example': ['127.0.0.1'] };
  const isOwnListener = (_address: string, port: number): boolean => port === 1;
  const network = networkOf({ pins, isOwnListener });
  const agents = { http: network.agent({ secure: false }), https: network.agent({ secure: true, ca: authority.ca }) };
  t.teardown(() => {
    for (const agent of Object.values(agents)) agent.destroy();
  });
  for (let n = 0; n < 2; n += 1) {
    const one = plainRequest({ host: 'registry.example', port: plain.port, agent: agents.http }).end();
    t.is(await textOf((await once(one, 'response'))[0]), 'plain');
    const two = secureRequest({ host: 'registry.example', port: secure.port, agent: agents.https }).end();
    t.is(await textOf((await once(two, 'response'))[0]), 'secure');
  }
  const own = plainRequest({ host: 'self.example', port: 1, agent: agents.http }).end();
  t.like((await once(own, 'error'))[0], { failure: 'loop' });
});

test('lookup gives node:net what the network resolves', async (t) => {
  const { lookup } = networkOf({ pins: { 'a.example': ['192.0.2.1', '2001:db8::1'] } });
  const ask = (options: object): Promise<unknown> =>
    new Promise((resolve) => lookup('a.example', options, (error, address) => resolve(error ?? address)));
  t.deepEqual(await ask({ all: true }), [
    { address: '192.0.2.1', family: 4 },
    { address: '2001:db8::1', family: 6 },
  ]);
  t.is(await ask({}), '192.0.2.1');
  t.is(await ask({ family: 6 }), '2001:db8::1');
});

test('an egress proxy carries requests, its account included, and NO_PROXY goes around it', async (t) => {
  const site = await serve(t, (_request, response) => response.end('body'), authority.issue(['registry.example']));
  const connects: (readonly [string | undefined, string | undefined])[] = [];
  const proxy = createServer().listen(0, '127.0.0.1');
  proxy.on('connect', async (request, socket) => {
    connects.push([request.url, request.headers['proxy-authorization']]);
    const { connect } = await import('node:net');
    const onward = connect(site.port, '127.0.0.1', () => socket.write('HTTP/1.1 200 OK\r\n\r\n'));
    onward.on('error', () => {});
    socket
      .on('error', () => {})
      .pipe(onward)
      .pipe(socket);
  });
  await once(proxy, 'listening');
  t.teardown(() => proxy.closeAllConnections());
  t.teardown(() => proxy.close());
  const { port } = proxy.address() as AddressInfo;
  const urls = [new URL(`https://registry.example:${site.port}`)];
  const settings = { https: `http://user:p%40ss@127.0.0.1:${port}` };
  const { body } = await upstreamOf(t, { urls, ca: authority.ca }, { proxy: settings }).request(pull());
  t.is(await textOf(body), 'body');
  const account = `Basic ${Buffer.from('user:p@ss').toString('base64')}`;
  t.deepEqual(connects, [[`registry.example:${site.port}`, account]]);
  t.is(site.seen[0]?.headers['proxy-authorization'], undefined);
  const around = { ...settings, no: 'registry.example' };
  const pins = { 'registry.example': ['127.0.0.1'] };
  await upstreamOf(t, { urls, ca: authority.ca }, { proxy: around, pins }).request(pull());
  t.is(connects.length, 1);
});

test('a proxy that refuses is named without its account', async (t) => {
  const proxy = createServer((_request, response) => response.writeHead(407).end()).listen(0, '127.0.0.1');
  proxy.on('connect', (_request, socket) => socket.end('HTTP/1.1 407 No\r\n\r\n'));
  await once(proxy, 'listening');
  t.teardown(() => proxy.close());
  const { port } = proxy.address() as AddressInfo;
  const network = networkOf({ proxy: { https: `http://user:canary@127.0.0.1:${port}` } });
  const error = await t.throwsAsync(network.connect({ host: 'registry.example', port: 443, secure: true }));
  t.regex(error?.message ?? '', /registry\.example:443.*proxy answered 407/);
  t.notRegex(`${error?.stack} ${String((error as Error).cause)}`, /canary/);
});
