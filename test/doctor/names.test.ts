import { promises as dns } from 'node:dns';
import test from 'ava';
import { loadConfig } from '../../src/config/load.ts';
import { judgeNames, judgeOwnNames, type NamesFacts, type RegistryName } from '../../src/doctor/names.ts';
import { type Lookup, probeName, probeNames } from '../../src/doctor/names-probe.ts';
import { NameServer, type Word } from '../faults/name-server.ts';
import { fixes, said } from './findings.ts';

const HERE = '192.0.2.10';
const HUB = ['docker.io', 'registry-1.docker.io', 'auth.docker.io'];

function name(name: string, here: readonly string[], elsewhere: readonly string[] = []): RegistryName {
  return { name, registry: HUB.includes(name) ? 'docker.io' : name, here, elsewhere };
}

function facts(names: readonly RegistryName[], more: Partial<NamesFacts> = {}): NamesFacts {
  return { gateway: { typed: 'nas.lan', addresses: [HERE] }, hasIpv6: true, mirrors: [], names, ...more };
}

const LED = [...HUB, 'ghcr.io'].map((one) => name(one, [HERE]));

test('names that all lead to the gateway are right', (t) => {
  t.deepEqual(said(judgeNames(facts(LED))), [
    'ok: leading to the gateway: docker.io, registry-1.docker.io, auth.docker.io, ghcr.io',
  ]);
});

test('an IPv6 address of the registry itself bypasses the gateway, where this machine has IPv6', (t) => {
  const names = LED.map((one) => (one.name === 'ghcr.io' ? name('ghcr.io', [HERE], ['2001:db8::1']) : one));
  const [found] = judgeNames(facts(names));
  t.is(found?.status, 'problem');
  t.regex(found?.message ?? '', /^ghcr\.io \(2001:db8::1\): the registry's own IPv6 address/);
  t.is(judgeNames(facts(names, { hasIpv6: false }))[0]?.status, 'warning');
  t.true(
    fixes(judgeNames(facts(names)))[0]?.startsWith(
      'layover setup system --gateway nas.lan --fingerprint SHA256 --mode transparent --apply (SHA256: ',
    ),
  );
});

test('an IPv6 address of the gateway bypasses nothing', (t) => {
  t.deepEqual(said(judgeNames(facts([name('ghcr.io', [HERE, '2001:db8::10'])]))), [
    'ok: leading to the gateway: ghcr.io',
  ]);
});

test('a second IPv4 address takes some pulls past the gateway', (t) => {
  const [found] = judgeNames(facts([name('ghcr.io', [HERE], ['198.51.100.1'])]));
  t.deepEqual(found && said([found]), ['problem: ghcr.io (198.51.100.1): also another address is given']);
});

test('a registry of which only some names lead to the gateway is torn, and the line that mends it is given', (t) => {
  const names = [name('registry-1.docker.io', [HERE]), name('auth.docker.io', [], ['198.51.100.1'])];
  const found = judgeNames(facts(names));
  t.regex(said(found)[0] ?? '', /^problem: auth\.docker\.io: not led to the gateway, although other names/);
  t.true(fixes(found)[0]?.startsWith(`echo '${HERE} auth.docker.io' | sudo tee -a /etc/hosts`));
});

test('a registry that is wholly left out is a warning, and none where a mirror is known', (t) => {
  const names = [...LED, name('quay.io', [], ['198.51.100.1'])];
  t.regex(said(judgeNames(facts(names)))[0] ?? '', /^warning: quay\.io: no name leads to the gateway/);
  t.deepEqual(
    judgeNames(facts(names, { mirrors: ['/etc/docker/daemon.json'] })).map(({ status }) => status),
    ['ok'],
  );
});

test('a client that nothing leads to the gateway pulls past it, unless it knows it as a mirror', (t) => {
  const names = [name('ghcr.io', [], ['198.51.100.1']), name('quay.io', [])];
  const found = judgeNames(facts(names));
  t.deepEqual(said(found), ["problem: no registry's name leads to nas.lan, and no client knows it as a mirror"]);
  t.deepEqual(fixes(found), [
    'layover setup docker --gateway nas.lan --fingerprint SHA256 --apply (SHA256: what layover ca fingerprint says there)',
  ]);
  t.deepEqual(said(judgeNames(facts(names, { mirrors: ['/etc/docker/daemon.json'] }))), [
    "ok: no registry's name leads to the gateway; it is a mirror in /etc/docker/daemon.json",
  ]);
  const { gateway: _, ...onGateway } = facts(names);
  t.deepEqual(
    judgeNames(onGateway).map(({ status }) => status),
    ['ok'],
  );
});

test('a gateway that cannot be found is the only thing said', (t) => {
  const found = judgeNames(facts(LED, { gateway: { typed: 'nas.lan', addresses: [] } }));
  t.deepEqual(said(found), ['problem: nas.lan has no address on this machine']);
});

test("the gateway's own names have to lead to it", (t) => {
  const right = { name: 'nas.lan', here: [HERE], elsewhere: [] };
  const absent = { name: 'gateway.lan', here: [], elsewhere: [] };
  const wrong = { name: 'old.lan', here: [], elsewhere: ['192.0.2.99'] };
  t.deepEqual(said(judgeOwnNames([right])), ["ok: the gateway's own names lead to it"]);
  t.deepEqual(said(judgeOwnNames([absent])), ['warning: gateway.lan, of names, cannot be resolved here']);
  t.deepEqual(said(judgeOwnNames([right, wrong])), [
    'problem: old.lan, one of names, leads to 192.0.2.99: no address of this machine',
    "ok: the gateway's own names lead to it",
  ]);
  t.deepEqual(judgeOwnNames([]), []);
});

/** As a program does that asks a name server for both kinds of addresses. */
function asking(server: NameServer): Lookup {
  const resolver = new dns.Resolver({ timeout: 30_000, tries: 1 });
  resolver.setServers([server.authority]);
  return async (host) =>
    (await Promise.all([resolver.resolve4(host).catch(() => []), resolver.resolve6(host).catch(() => [])])).flat();
}

test('names are followed by IPv4 and IPv6, and wildcards left out', async (t) => {
  const words: Readonly<Record<string, Word>> = {
    'ghcr.io': [HERE, '2001:db8::1'],
    'quay.io': ['198.51.100.1'],
    'nas.lan': [HERE],
  };
  await using server = await NameServer.start((host) => words[host] ?? 'NXDOMAIN');
  const text = 'upstreams: { docker.io: null, lscr.io: null, zone: { hosts: ["*.reg.example"], urls: ["https://*"] } }';
  const config = await loadConfig({ file: '(test)', text, env: {}, cwd: '/' });
  const found = await probeNames(config, asking(server), (address) => address === HERE);
  const of = (host: string): RegistryName | undefined => found.find((one) => one.name === host);
  t.deepEqual(of('ghcr.io'), name('ghcr.io', [HERE], ['2001:db8::1']));
  t.deepEqual(of('quay.io'), name('quay.io', [], ['198.51.100.1']));
  t.deepEqual(of('gcr.io'), name('gcr.io', []));
  t.is(of('*.reg.example'), undefined);
  t.deepEqual(await probeName('nas.lan', asking(server), (address) => address === HERE), {
    name: 'nas.lan',
    here: [HERE],
    elsewhere: [],
  });
});
