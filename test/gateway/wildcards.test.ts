import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect } from 'node:tls';
import test from 'ava';
import { loadConfig } from '../../src/config/load.ts';
import { type RequestEvent, subscribe } from '../../src/events.ts';
import { readFiles, Upstreams } from '../../src/main/upstreams.ts';
import { createNetwork } from '../../src/upstream/network.ts';
import { ACCEPT, DOORS, type Door, piecesOf, smallImage } from '../auth/scene.ts';
import { Client, type ClientResponse } from '../support/client.ts';
import { TestGateway } from '../support/gateway.ts';
import { createAuthority } from '../support/pki.ts';
import { type FakeUpstream, startUpstream } from '../support/upstream/upstream.ts';

const authority = createAuthority();
const IMAGES = { one: smallImage('wildcards one'), other: smallImage('wildcards other') };
const REPOSITORY = 'team/app';
const ADDRESSES = { one: '127.0.0.61', other: '127.0.0.62' };
const HOSTS = ['one', 'other', 'gone', 'exact', 'a.b'].map((label) => `${label}.reg.example`);

/** A gateway in front of two registries of one zone, which it knows by a wildcard alone. */
class Zone implements AsyncDisposable {
  readonly gateway: TestGateway;
  readonly one: FakeUpstream;
  readonly other: FakeUpstream;
  readonly #plain = new Client();
  readonly #dir: string;

  private constructor(gateway: TestGateway, one: FakeUpstream, other: FakeUpstream, dir: string) {
    this.gateway = gateway;
    this.one = one;
    this.other = other;
    this.#dir = dir;
  }

  static async open(settings: object = {}, further: (one: FakeUpstream) => Record<string, object> = () => ({})) {
    const one = await registry('one', 0);
    const other = await registry('other', one.listener('registry').port);
    const dir = await mkdtemp(join(tmpdir(), 'layover-zone-'));
    const ca = join(dir, 'ca.pem');
    await writeFile(ca, authority.ca);
    const urls = [`https://*.reg.example:${one.listener('registry').port}`];
    const names = Object.entries(ADDRESSES).map(([label, address]) => [`${label}.reg.example`, address]);
    const gateway = await TestGateway.start({
      upstreams: [],
      further: { zone: { hosts: ['*.reg.example'], urls, ca, ...settings }, ...further(one) },
      hosts: HOSTS,
      // Own names mean no registry by themselves here.
      config: {
        mirror: { default: null },
        dns: { pins: { ...Object.fromEntries(names), 'gone.reg.example': '127.0.0.63' } },
      },
    });
    return new Zone(gateway, one, other, dir);
  }

  /** Asks as somebody without an account. */
  async ask(door: Door, host: string, rest: string): Promise<ClientResponse> {
    const headers = { accept: ACCEPT };
    const own = `${this.gateway.own}/v2/`;
    if (door === 'mirror') return this.#plain.request(`${own}${REPOSITORY}/${rest}?ns=${host}`, { headers });
    if (door === 'path') return this.#plain.request(`${own}${host}/${REPOSITORY}/${rest}`, { headers });
    const login = `https://${host}/v2/_layover/token?service=ghcr.io&scope=repository:${REPOSITORY}:pull`;
    const { token } = JSON.parse((await this.gateway.client.request(login)).body.toString()) as { token?: string };
    const authorization = { authorization: `Bearer ${token}` };
    const url = `https://${host}/v2/${REPOSITORY}/${rest}`;
    return this.gateway.client.request(url, { headers: { ...headers, ...authorization } });
  }

  async metrics(): Promise<string> {
    return (await this.#plain.request(`${this.gateway.admin}/metrics`)).body.toString();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#plain[Symbol.dispose]();
    await this.gateway[Symbol.asyncDispose]();
    await this.one.close();
    await this.other.close();
    await rm(this.#dir, { recursive: true });
  }
}

async function registry(label: 'one' | 'other', port: number): Promise<FakeUpstream> {
  const where = { name: `${label}.reg.example`, address: ADDRESSES[label] };
  const hosts = { registry: { ...where, port }, cdn: where };
  const upstream = await startUpstream({ profile: 'ghcr', tls: { authority }, hosts });
  upstream.add(REPOSITORY, IMAGES[label]);
  return upstream;
}

test('each host that a wildcard stands for is a registry of its own on every door, and counts as one upstream', async (t) => {
  await using zone = await Zone.open();
  const events: RequestEvent[] = [];
  t.teardown(
    subscribe(
      'request',
      (event) => event.status === 200 && event.upstream?.endsWith('.reg.example') && events.push(event),
    ),
  );
  for (const round of ['cold', 'warm', 'offline']) {
    if (round === 'offline') {
      await zone.one.down();
      await zone.gateway.restart();
    }
    for (const label of ['one', 'other'] as const)
      for (const door of DOORS)
        for (const { rest, bytes, what } of piecesOf(IMAGES[label])) {
          if (bytes === undefined) continue;
          const { status, body } = await zone.ask(door, `${label}.reg.example`, rest);
          t.deepEqual([status, body], [200, bytes], `${round} ${label} ${door} ${what}`);
        }
  }
  t.deepEqual([...new Set(events.map(({ upstream }) => upstream))].toSorted(), [
    'one.reg.example',
    'other.reg.example',
  ]);
  const stored = await readdir(join(zone.gateway.dir, 'data/cache/repositories'));
  t.deepEqual(stored.toSorted(), ['one.reg.example', 'other.reg.example']);
  const metrics = await zone.metrics();
  t.regex(metrics, /layover_requests_total\{[^}]*upstream="zone"/);
  t.regex(metrics, /layover_upstream_requests_total\{upstream="zone"/);
  t.notRegex(metrics, /reg\.example/);
});

/** The names in the certificate that is shown for a server name; `undefined` when the handshake fails. */
function shown({ gateway }: Zone, servername: string): Promise<{ names: string; serial: string } | undefined> {
  const { promise, resolve } = Promise.withResolvers<{ names: string; serial: string } | undefined>();
  const socket = connect({ host: '127.0.0.1', port: gateway.tlsPort, servername, rejectUnauthorized: false });
  socket.once('secureConnect', () => {
    const { subjectaltname = '', serialNumber } = socket.getPeerCertificate();
    socket.destroy();
    resolve({ names: subjectaltname, serial: serialNumber });
  });
  socket.once('error', () => resolve(undefined));
  return promise;
}

test('all hosts under a wildcard are shown one certificate, and no other name is shown it', async (t) => {
  await using zone = await Zone.open();
  const first = await shown(zone, 'one.reg.example');
  t.is(first?.names, 'DNS:*.reg.example');
  for (const label of ['other', 'gone', `random-${Math.random().toString(36).slice(2)}`])
    t.deepEqual(await shown(zone, `${label}.reg.example`), first);
  for (const name of ['a.b.reg.example', 'reg.example', 'a_b.reg.example', '-a.reg.example', 'areg.example'])
    t.is(await shown(zone, name), undefined, name);
});

test('what no wildcard stands for is unknown: names two labels below, the parent, and the upstream itself', async (t) => {
  await using zone = await Zone.open();
  for (const host of ['a.b.reg.example', 'reg.example', '*.reg.example', 'a_b.reg.example', 'zone', '.reg.example'])
    t.is((await zone.ask('mirror', host, 'manifests/latest')).status, 404, host);
  for (const host of ['a.b.reg.example', 'reg.example', 'zone'])
    t.is((await zone.ask('path', host, 'manifests/latest')).status, 404, host);
  t.is(zone.one.requests.length + zone.other.requests.length, 0);
});

test('a host that is written wins over the wildcard', async (t) => {
  await using zone = await Zone.open({}, (one) => ({
    exact: { hosts: ['exact.reg.example'], urls: [one.url()], blobHosts: [one.authority('cdn')] },
  }));
  await zone.gateway.reload('zone', {});
  const answer = await zone.ask('mirror', 'exact.reg.example', 'manifests/latest');
  // It is asked as what is written says: without the authority that the wildcard's settings name.
  t.is(answer.status, 504);
  t.is(zone.one.requests.length, 0);
  t.is((await shown(zone, 'exact.reg.example'))?.names, 'DNS:exact.reg.example');
});

test('rules, limits and a host that is gone are those of the wildcard', async (t) => {
  await using zone = await Zone.open();
  await zone.gateway.reload('zone', { deny: ['team/**'] });
  for (const door of DOORS) {
    const { status, body } = await zone.ask(door, 'one.reg.example', 'manifests/latest');
    t.is(status, 403, door);
    t.regex(body.toString(), /denied by upstreams\.zone\.deny: /);
  }
  await zone.gateway.reload('zone', { limit: { requests: '4/1h' } });
  const statuses: number[] = [];
  for (let n = 0; n < 8; n++)
    for (const host of ['one.reg.example', 'other.reg.example'])
      statuses.push((await zone.ask('path', host, 'tags/list')).status);
  t.deepEqual([statuses[0], statuses.at(-1)], [200, 429]);
  t.true(
    zone.one.count({ role: 'registry', kind: 'tags' }) + zone.other.count({ role: 'registry', kind: 'tags' }) <= 4,
  );
  await zone.gateway.reload('zone', {});
  t.is((await zone.ask('path', 'gone.reg.example', 'manifests/latest')).status, 504);
  t.is((await zone.ask('path', 'one.reg.example', 'manifests/latest')).status, 200);
});

test('a name that a client chose leads to no private address, unless somebody wrote where it leads', async (t) => {
  await using zone = await Zone.open({ urls: undefined });
  for (const door of ['mirror', 'path'] as const) {
    const answer = await zone.ask(door, 'one.reg.example', 'manifests/latest');
    t.is(answer.status, 502, door);
    t.regex(answer.body.toString(), /private address/);
  }
});

test('web pages of a host that a client chose come from no private address, wherever its registry is', async (t) => {
  await using zone = await Zone.open();
  const events: RequestEvent[] = [];
  t.teardown(subscribe('request', (event) => event.path === '/some/page' && events.push(event)));
  t.is((await zone.gateway.client.request('https://one.reg.example/some/page')).status, 504);
  t.regex(events[0]?.error ?? '', /private address/);
});

test('of the registries that wildcards stand for only those used last are kept open', async (t) => {
  const dir = await mkdtemp(join(tmpdir(), 'layover-zone-'));
  t.teardown(() => rm(dir, { recursive: true }));
  await writeFile(join(dir, 'a.yaml'), 'upstreams: { zone: { hosts: ["*.reg.example"] } }');
  const config = await loadConfig({ file: 'a.yaml', env: {}, cwd: dir });
  const network = createNetwork({ servers: [], pins: {}, proxy: {}, isOwnListener: () => false });
  await using upstreams = new Upstreams(config, await readFiles(Object.values(config.upstreams)), network);
  const first = upstreams.get('first.reg.example');
  const used = upstreams.get('used.reg.example');
  const fixed = upstreams.get('quay.io');
  for (let n = 0; n < 5000; n++) {
    upstreams.get(`n${n}.reg.example`);
    if (n % 10 === 0) t.is(upstreams.get('used.reg.example'), used);
  }
  t.not(upstreams.get('first.reg.example'), first);
  t.is(upstreams.get('quay.io'), fixed);
  t.throws(() => upstreams.get('zone'), { message: /no upstream is called zone/ });
  t.throws(() => upstreams.get('a.b.reg.example'), { message: /no upstream/ });
  t.deepEqual(
    ['x.reg.example', 'quay.io'].map((name) => upstreams.keyOf(name)),
    ['zone', 'quay.io'],
  );
});
