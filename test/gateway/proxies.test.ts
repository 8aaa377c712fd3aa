import type { Socket } from 'node:net';
import test from 'ava';
import fc from 'fast-check';
import { admission } from '../../src/config/admission.ts';
import { type Arrived, arrivalOf } from '../../src/gateway/arrival.ts';
import type { GatewayOptions } from '../../src/gateway/gateway.ts';
import type { Exchange } from '../../src/registry/exchange.ts';
import { ask, askPlain, type Running, start, text, until, upstreamConfig } from './start.ts';

const PROXIES = ['127.0.0.1/32', '10.0.0.0/8', 'fd00::/8'];
const MANIFEST = '/v2/library/nginx/manifests/latest';

/** Fields as they come on the wire, several of one name among them. */
type Fields = readonly (readonly [string, string])[];

function arrived(peer: string, fields: Fields, listener: 'http' | 'https' = 'http'): Arrived {
  const socket = { remoteAddress: peer, servername: 'ghcr.io' } as Partial<Socket> as Socket;
  return arrivalOf(listener, { rawHeaders: fields.flat(), socket }, admission(PROXIES));
}

test('the client is the last address that a listed proxy wrote and that is none of one', (t) => {
  const cases: readonly (readonly [string, readonly string[], string])[] = [
    ['127.0.0.1', ['192.0.2.7'], '192.0.2.7'],
    ['::ffff:127.0.0.1', ['192.0.2.7'], '192.0.2.7'],
    ['::FFFF:10.1.2.3', ['::ffff:192.0.2.7'], '192.0.2.7'],
    ['fd00::1', ['2001:db8::7'], '2001:db8::7'],
    ['127.0.0.1', ['6.6.6.6, 192.0.2.7'], '192.0.2.7'],
    ['127.0.0.1', ['6.6.6.6', '192.0.2.7'], '192.0.2.7'],
    ['127.0.0.1', ['192.0.2.7, 10.0.0.9'], '192.0.2.7'],
    ['127.0.0.1', ['6.6.6.6,192.0.2.7 ,\t10.0.0.9,::ffff:10.0.0.8'], '192.0.2.7'],
    ['127.0.0.1', ['10.0.0.7, 10.0.0.9'], '10.0.0.7'],
    ['127.0.0.1', [], '127.0.0.1'],
    ['127.0.0.1', [''], '127.0.0.1'],
    ['127.0.0.1', ['unknown'], '127.0.0.1'],
    ['127.0.0.1', ['6.6.6.6, forged'], '127.0.0.1'],
    ['127.0.0.1', ['6.6.6.6, 192.0.2.7:443'], '127.0.0.1'],
    ['127.0.0.1', ['192.0.2.7, '], '127.0.0.1'],
    ['192.0.2.1', ['10.0.0.1'], '192.0.2.1'],
    ['::ffff:192.0.2.1', ['10.0.0.1'], '192.0.2.1'],
    ['11.0.0.1', ['192.0.2.7'], '11.0.0.1'],
    ['2001:db8::1', ['192.0.2.7'], '2001:db8::1'],
  ];
  for (const [peer, lines, client] of cases) {
    const fields = lines.map((line) => ['X-Forwarded-For', line] as const);
    t.is(arrived(peer, fields).client, client, `${peer}: ${lines.join(' | ')}`);
  }
});

test('what a client writes into X-Forwarded-For itself changes nothing', (t) => {
  const hop = fc.oneof(
    fc.ipV4(),
    fc.ipV6(),
    fc.constantFrom('127.0.0.1', '10.9.9.9', 'unknown', '', '::ffff:10.0.0.1'),
  );
  const property = fc.property(
    fc.array(hop, { maxLength: 5 }),
    fc.array(fc.constantFrom('10.0.0.2', '127.0.0.1')),
    (forged, passed) => {
      const line = [...forged, '192.0.2.7', ...passed].join(', ');
      t.is(arrived('127.0.0.1', [['X-Forwarded-For', line]]).client, '192.0.2.7', line);
    },
  );
  fc.assert(property, { numRuns: 200 });
});

test('what a proxy says of its clients counts from listed addresses and on the plain listener alone', (t) => {
  const fields: Fields = [
    ['Host', 'ghcr.io'],
    ['X-Forwarded-For', '192.0.2.7'],
    ['X-FORWARDED-PROTO', 'HTTPS'],
    ['x-forwarded-host', 'ghcr.io:8443'],
  ];
  const hosts = ['ghcr.io'];
  const proxied = { scheme: 'https', hosts: ['ghcr.io:8443'] } as const;
  t.deepEqual(arrived('127.0.0.1', fields), { listener: 'http', client: '192.0.2.7', hosts, proxied });
  for (const peer of ['192.0.2.1', '::ffff:192.0.2.1', '::1', ''])
    t.deepEqual(arrived(peer, fields), { listener: 'http', client: peer.replace('::ffff:', ''), hosts }, peer);
  const overTls = { listener: 'https', client: '127.0.0.1', hosts, sni: 'ghcr.io' } as const;
  t.deepEqual(arrived('127.0.0.1', fields, 'https'), overTls);
});

test('a scheme that is none is as if it was not said', (t) => {
  for (const scheme of ['', 'wss', 'https, http', 'https://'])
    t.deepEqual(arrived('127.0.0.1', [['X-Forwarded-Proto', scheme]]).proxied, { hosts: [] }, scheme);
});

interface Seen extends Running {
  readonly seen: Exchange[];
}

async function behind(t: Parameters<typeof start>[0], proxies: readonly string[], host = '127.0.0.1'): Promise<Seen> {
  const seen: Exchange[] = [];
  const any = { host: '127.0.0.1', port: 0 };
  const config: GatewayOptions['config'] = {
    listen: { https: [any], http: [{ host, port: 0 }], admin: [any], proxies },
    metrics: 'admin',
    names: ['gateway.lan'],
    mirror: { default: 'registry.example' },
    hosted: { repositories: [], push: 'none', delete: [] },
    upstreams: {
      'registry.example': upstreamConfig('registry.example'),
      'ghcr.io': upstreamConfig('ghcr.io'),
    },
  };
  const endpoints: GatewayOptions['endpoints'] = async (exchange) => {
    seen.push(exchange);
    return text('manifest');
  };
  return { ...(await start(t, { config, endpoints })), seen };
}

const SAID = { 'X-Forwarded-For': '6.6.6.6, 192.0.2.7', 'X-Forwarded-Proto': 'https' };

test('a listed proxy reaches the transparent door over plain HTTP, and the log shows its client', async (t) => {
  const { seen, ...running } = await behind(t, ['127.0.0.1/32']);
  const answer = await askPlain(running, { host: 'ghcr.io', path: MANIFEST, headers: SAID });
  t.is(answer.status, 200);
  t.like(seen[0], { door: 'transparent', origin: 'https://ghcr.io', route: { repository: { upstream: 'ghcr.io' } } });
  await until(() => running.events.length === 1);
  t.like(running.events[0], { client: '192.0.2.7', host: 'ghcr.io', door: 'transparent', status: 200 });
});

test('a proxy is known by its IPv4 address on a listener for both families, too', async (t) => {
  const { seen, ...running } = await behind(t, ['127.0.0.0/8'], '::');
  t.is((await askPlain(running, { host: 'ghcr.io', path: MANIFEST, headers: SAID })).status, 200);
  t.is(seen[0]?.door, 'transparent');
  await until(() => running.events.length === 1);
  t.is(running.events[0]?.client, '192.0.2.7');
});

test('anybody else who says the same is a client of the plain listener', async (t) => {
  for (const proxies of [[], ['127.0.0.2/32', '10.0.0.0/8']]) {
    const { seen, ...running } = await behind(t, proxies);
    const forged = { ...SAID, 'X-Forwarded-Host': 'ghcr.io' };
    t.is((await askPlain(running, { host: 'ghcr.io', path: MANIFEST, headers: forged })).status, 421);
    t.is(
      (await askPlain(running, { host: 'ghcr.io', path: '/a', headers: forged })).headers.location,
      'https://ghcr.io/a',
    );
    await askPlain(running, { host: 'gateway.lan', path: MANIFEST, headers: forged });
    t.like(seen, [{ door: 'mirror', origin: 'http://gateway.lan' }]);
    await until(() => running.events.length === 3);
    t.deepEqual(
      running.events.map(({ client }) => client),
      ['127.0.0.1', '127.0.0.1', '127.0.0.1'],
    );
  }
});

test('over TLS the server name goes on deciding, whatever a listed proxy says', async (t) => {
  const { seen, ...running } = await behind(t, ['127.0.0.1/32']);
  const headers = { ...SAID, 'X-Forwarded-Host': 'ghcr.io' };
  t.is((await ask(running, { path: MANIFEST, headers })).status, 200);
  t.like(seen, [{ origin: 'https://registry.example', route: { repository: { upstream: 'registry.example' } } }]);
  await until(() => running.events.length === 1);
  t.is(running.events[0]?.client, '127.0.0.1');
});

test('the origin that clients are shown is the one that they asked the proxy for', async (t) => {
  const { seen, ...running } = await behind(t, ['127.0.0.1/32']);
  const cases: readonly (readonly [string, Record<string, string>, string])[] = [
    ['ghcr.io', {}, 'https://ghcr.io'],
    ['ghcr.io', { 'X-Forwarded-Proto': 'http' }, 'http://ghcr.io'],
    ['ghcr.io', { 'X-Forwarded-Host': 'ghcr.io:8443' }, 'https://ghcr.io:8443'],
    ['ghcr.io:443', {}, 'https://ghcr.io'],
    ['ghcr.io:80', { 'X-Forwarded-Proto': 'http' }, 'http://ghcr.io'],
    ['gateway.lan', {}, 'http://gateway.lan'],
    ['gateway.lan', SAID, 'https://gateway.lan'],
    ['127.0.0.1:5000', { ...SAID, 'X-Forwarded-Host': 'cache.example' }, 'https://cache.example'],
  ];
  for (const [host, headers, origin] of cases) {
    await askPlain(running, { host, path: MANIFEST, headers });
    t.is(seen.at(-1)?.origin, origin, `${host} ${JSON.stringify(headers)}`);
  }
  const page = await askPlain(running, { host: 'gateway.lan', path: '/', headers: SAID });
  t.regex(page.body.toString(), /https:\/\/gateway\.lan\/ca\.crt/);
});

test('a proxied host that different readers may take for different hosts is refused', async (t) => {
  const running = await behind(t, ['127.0.0.1/32']);
  for (const forwarded of [['ghcr.io', 'quay.io'], 'ghcr.io, quay.io', 'user@ghcr.io', '']) {
    const headers = { 'X-Forwarded-Host': forwarded };
    const answer = await askPlain(running, { host: 'ghcr.io', path: MANIFEST, headers });
    t.is(answer.status, 400, String(forwarded));
    t.regex(answer.body.toString(), /X-Forwarded-Host/);
  }
  t.deepEqual(running.seen, []);
});
