import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { parse } from 'yaml';
import type { Config } from '../../src/config/config.ts';
import { defaultsFor, isTree, valueAt } from '../../src/config/layers.ts';
import { loadConfig } from '../../src/config/load.ts';
import { accountFor, openLookup, presentedHosts } from '../../src/config/lookup.ts';
import { PRESETS, PUBLIC_REGISTRIES, parsePermitted } from '../../src/config/presets.ts';
import { rootOptions } from '../../src/config/root-options.ts';

const SHIPPED = new URL('../../config/gateway.yaml', import.meta.url);
const PAGE = new URL('../../docs/configuration.md', import.meta.url);

let cwd = '';
let files = 0;

test.before(async () => {
  cwd = await mkdtemp(join(tmpdir(), 'layover-config-'));
});

test.after.always(async () => {
  await rm(cwd, { recursive: true, force: true });
});

async function load(text: string): Promise<Config> {
  const file = `${files++}.yaml`;
  await writeFile(join(cwd, file), text);
  return loadConfig({ file, env: {}, cwd });
}

/** The shipped file with the `#` taken from every key. */
async function uncommented(): Promise<string> {
  const text = await readFile(SHIPPED, 'utf8');
  return text.replaceAll(/^#(?! \S)/gm, '');
}

/** The dotted path of every leaf. */
function pathsOf(value: unknown): string[] {
  if (!isTree(value)) return [];
  return Object.entries(value).flatMap(([key, inner]) => {
    const below = pathsOf(inner);
    return below.length === 0 ? [key] : below.map((path) => `${key}.${path}`);
  });
}

function upstream(config: Config, name: string) {
  const found = config.upstreams[name];
  if (found === undefined) throw new Error(`no upstream ${name}`);
  return { ...found, urls: found.urls.map(String) };
}

test('without a file the embedded defaults hold', async (t) => {
  const config = await loadConfig({ env: {}, cwd });
  t.deepEqual(config.listen, {
    https: [{ host: '::', port: 443, fallbackPort: 8443 }],
    http: [{ host: '::', port: 5000 }],
    admin: [{ host: '127.0.0.1', port: 9464 }],
    proxies: [],
  });
  t.deepEqual(config.names, ['gateway.lan']);
  t.deepEqual(config.certs, { dir: join(cwd, 'certs'), permit: PUBLIC_REGISTRIES });
  t.deepEqual(config.storage, {
    root: join(cwd, 'data'),
    size: 50 * 2 ** 30,
    reserve: 5 * 2 ** 30,
    evict: { high: 0.95, low: 0.85 },
    keep: [],
  });
  t.deepEqual(config.log, {
    level: 'info',
    access: { file: join(cwd, 'logs/access.log'), format: 'json', maxSize: 100 * 2 ** 20, keep: 5 },
  });
  t.deepEqual(config.mirror, { default: 'docker.io', read: 'anyone' });
  t.deepEqual(config.hosted, { repositories: [], push: 'none', read: 'anyone', delete: [] });
  t.deepEqual(config.users, {});
  t.deepEqual(config.grants, { offline: 86_400_000 });
  t.deepEqual(config.dns.servers, []);
  t.deepEqual(Object.keys(config.dns.pins), []);
  t.deepEqual(Object.keys(config.upstreams), [...PRESETS.keys()]);
  t.is(PRESETS.size, 8);
});

test('config/gateway.yaml of the working directory is read when no file is named', async (t) => {
  const dir = join(cwd, 'with-file');
  await mkdir(join(dir, 'config'), { recursive: true });
  await writeFile(join(dir, 'config/gateway.yaml'), 'names: [here.lan]');
  t.deepEqual((await loadConfig({ env: {}, cwd: dir })).names, ['here.lan']);
});

test('the shipped file changes nothing', async (t) => {
  t.deepEqual(await load(await readFile(SHIPPED, 'utf8')), await loadConfig({ env: {}, cwd }));
});

test('the shipped file shows every key at its default', async (t) => {
  const text = await uncommented();
  const { listen, ...rest } = await load(text);
  const { listen: defaultListen, ...defaultRest } = await loadConfig({ env: {}, cwd });
  const { fallbackPort, ...https } = defaultListen.https[0];
  t.deepEqual({ ...listen }, { ...defaultListen, https: [https] });
  t.is(fallbackPort, 8443);
  t.deepEqual(rest, defaultRest);
  const written = JSON.stringify(parse(text), (_key, value) => (value === null ? undefined : value));
  t.deepEqual(JSON.parse(written), JSON.parse(JSON.stringify(defaultsFor(undefined))));
});

test('the page about the configuration has a heading for every key', async (t) => {
  const page = await readFile(PAGE, 'utf8');
  const { upstreams, ...rest } = defaultsFor(undefined);
  const upstreamKeys = pathsOf(valueAt(upstreams, ['docker.io']));
  for (const key of [
    ...pathsOf(rest),
    ...upstreamKeys,
    'upstreams',
    'alias',
    'ca',
    'credentials',
    'credentials.serve',
    'allow',
    'clientCert',
    'limit.requests',
    'limit.bandwidth',
  ]) {
    t.regex(page, new RegExp(`^#+ .*\`${key.replaceAll('.', '\\.')}\``, 'm'), key);
  }
});

test('every example of the page about the configuration is a valid file', async (t) => {
  const examples = [...(await readFile(PAGE, 'utf8')).matchAll(/^```yaml\n(.*?)^```$/gms)];
  t.true(examples.length > 10);
  for (const [, example = ''] of examples) await t.notThrowsAsync(load(example), example);
});

test('a preset keeps the keys that are not written, and lists replace lists', async (t) => {
  const config = await load('upstreams: { docker.io: { hosts: [docker.io], tags: { ttl: 1m } } }');
  const hub = upstream(config, 'docker.io');
  t.deepEqual(hub.hosts, ['docker.io']);
  t.deepEqual(hub.urls, ['https://registry-1.docker.io/']);
  t.deepEqual(hub.authHosts, ['auth.docker.io']);
  t.deepEqual(hub.tags, { ttl: 60_000, staleOnError: 30 * 86_400_000 });
  t.is(Object.keys(config.upstreams).length, 8);
});

test('null removes an upstream, and the default mirror with it', async (t) => {
  const config = await load('upstreams: { quay.io: null, docker.io: ~ }');
  t.false('quay.io' in config.upstreams);
  t.is(Object.keys(config.upstreams).length, 6);
  t.deepEqual(config.mirror, { read: 'anyone' });
  t.false(presentedHosts(config).has('auth.docker.io'));
});

test('a key with nothing behind it stands at its default', async (t) => {
  const config = await load('listen:\n  https:\nupstreams:\n  quay.io:\n  registry.example.com:\n');
  t.is(config.listen.https[0].fallbackPort, 8443);
  t.deepEqual(upstream(config, 'quay.io').hosts, ['quay.io']);
  t.deepEqual(upstream(config, 'registry.example.com').urls, ['https://registry.example.com/']);
});

test('null takes back what an alias or a default brought', async (t) => {
  const config = await load(
    'mirror: { default: null }\nupstreams:\n  ghcr.io: &own { ca: a.pem, credentials: { username: u, passwordFile: p } }\n  quay.io: { <<: *own, ca: null }\n',
  );
  t.deepEqual(config.mirror, { read: 'anyone' });
  t.is(upstream(config, 'ghcr.io').ca, join(cwd, 'a.pem'));
  t.false('ca' in upstream(config, 'quay.io'));
  t.like(upstream(config, 'quay.io').credentials, [{ username: 'u', passwordFile: join(cwd, 'p'), serve: [] }]);
});

test('an upstream without a preset presents and asks the host that its namespace names', async (t) => {
  const config = await load(
    'upstreams: { registry.example.com: {}, 10.0.0.7: {}, my_reg: { urls: ["http://Reg.lan:5000/base/"] } }',
  );
  t.deepEqual(upstream(config, 'registry.example.com').hosts, ['registry.example.com']);
  t.deepEqual(upstream(config, 'registry.example.com').urls, ['https://registry.example.com/']);
  t.deepEqual(upstream(config, '10.0.0.7').hosts, []);
  t.deepEqual(upstream(config, '10.0.0.7').urls, ['https://10.0.0.7/']);
  t.deepEqual(upstream(config, 'my_reg').urls, ['http://reg.lan:5000/base']);
});

test('presented hosts are found in lower case, without port, and know whether they only issue tokens', async (t) => {
  const presented = presentedHosts(
    await load('upstreams: { mine: { hosts: [Reg.LAN:5000], urls: [http://10.0.0.1] } }'),
  );
  t.is(presented.get('reg.lan')?.upstream.name, 'mine');
  t.is(presented.get('index.docker.io')?.auth, false);
  t.is(presented.get('auth.docker.io')?.auth, true);
  t.is(presented.get('auth.docker.io')?.upstream.name, 'docker.io');
  t.is(presented.size, 12);
});

test('a certificate of our own choice is a chain and a key, by absolute paths', async (t) => {
  const { certs } = await load('certs: { chain: own/chain.pem, key: /own/key.pem }');
  t.deepEqual(certs.brought, { chain: join(cwd, 'own/chain.pem'), key: '/own/key.pem' });
});

test('an account stands alone or in a list of several, each with the repositories that it is for', async (t) => {
  const config = await load(
    'upstreams:\n  ghcr.io:\n    clientCert: { chain: c.pem, key: /k.pem }\n    credentials:\n' +
      '      - { repositories: ["acme/**"], username: _json_key, passwordFile: a, serve: [acme/x] }\n' +
      '      - { username: _json_key, passwordFile: b }\n',
  );
  const { credentials, clientCert } = upstream(config, 'ghcr.io');
  t.like(credentials, [
    { repositories: ['acme/**'], username: '_json_key', passwordFile: join(cwd, 'a'), serve: ['acme/x'] },
    { username: '_json_key', passwordFile: join(cwd, 'b'), serve: [] },
  ]);
  t.is(new Set(credentials.map(({ id }) => id)).size, 2);
  t.deepEqual(clientCert, { chain: join(cwd, 'c.pem'), key: '/k.pem' });
  const accounts = ['acme/x', 'acme/y/z', 'other'].map((name) => accountFor({ credentials }, name));
  t.deepEqual(accounts, [credentials[0], credentials[0], credentials[1]]);
  t.is(accountFor({ credentials: credentials.slice(0, 1) }, 'other'), undefined);
  t.deepEqual(upstream(config, 'quay.io').credentials, []);
});

test('a wildcard makes a registry of each host below it, and what is written wins', async (t) => {
  const config = await load(
    'names: [own.reg.example]\nupstreams:\n' +
      '  azure: { hosts: ["*.azurecr.io", "*.azurecr.cn"], tags: { ttl: 1m } }\n' +
      '  reg.example: { hosts: ["*.Reg.example"], urls: ["https://*.mirror.lan:8443/x", http://*] }\n' +
      '  exact.reg.example: {}\n' +
      '  mine: { hosts: [mine.reg.example], urls: [http://10.0.0.1] }\n',
  );
  const lookup = openLookup(config);
  const described = (name: string): unknown => {
    const found = lookup.upstream(name);
    return found && [found.name, found.template, found.hosts.join(' '), found.urls.map(String).join(' ')];
  };
  t.deepEqual(described('acme.azurecr.io'), [
    'acme.azurecr.io',
    'azure',
    'acme.azurecr.io',
    'https://acme.azurecr.io/',
  ]);
  t.deepEqual(described('acme.azurecr.cn'), [
    'acme.azurecr.cn',
    'azure',
    'acme.azurecr.cn',
    'https://acme.azurecr.cn/',
  ]);
  t.deepEqual(described('a.reg.example'), [
    'a.reg.example',
    'reg.example',
    'a.reg.example',
    'https://a.mirror.lan:8443/x http://a.reg.example/',
  ]);
  t.is(lookup.upstream('acme.azurecr.io')?.tags.ttl, 60_000);
  t.is(lookup.presented('acme.azurecr.io')?.upstream, lookup.upstream('acme.azurecr.io'));
  t.is(lookup.upstream('exact.reg.example')?.template, undefined);
  t.is(lookup.presented('mine.reg.example')?.upstream.name, 'mine');
  for (const none of [
    'mine.reg.example',
    'own.reg.example',
    'azure',
    'reg.example',
    'a.b.azurecr.io',
    '-a.azurecr.io',
    'a_b.azurecr.io',
    '.azurecr.io',
    '*.azurecr.io',
    'azurecr.io',
    '',
  ])
    t.is(lookup.upstream(none), undefined, none);
  for (const none of ['own.reg.example', 'reg.example', 'a.b.azurecr.io', '*.azurecr.io'])
    t.is(lookup.presented(none), undefined, none);
  const { permittedDns } = rootOptions(config);
  t.true(permittedDns.includes('azurecr.io') && !permittedDns.some((name) => name.includes('*')));
});

test('limits are read in each of their forms', async (t) => {
  for (const [requests, count, span] of [
    ['100/6h', 100, 21_600_000],
    ['5/s', 5, 1000],
    ['1/1h30m', 1, 5_400_000],
  ] as const) {
    const { limit } = upstream(await load(`upstreams: { ghcr.io: { limit: { requests: ${requests} } } }`), 'ghcr.io');
    t.deepEqual(limit, { requests: { count, span } });
  }
  const { limit } = upstream(
    await load('upstreams: { ghcr.io: { limit: { bandwidth: 10m, requests: null } } }'),
    'ghcr.io',
  );
  t.deepEqual(limit, { bandwidth: 10 * 2 ** 20 });
  t.deepEqual(upstream(await load('upstreams: { ghcr.io: { limit: null } }'), 'ghcr.io').limit, {});
});

test('addresses, durations and pins are read in each of their forms', async (t) => {
  const config = await load(
    'listen: { https: ":0", http: localhost:1, admin: "[::1]:65535", proxies: [127.0.0.1, 10.0.0.0/8, "FD00::1"] }\ngrants: { offline: 0 }\n' +
      'dns: { servers: [9.9.9.9, "[::1]:53", "2620:fe::fe"], pins: { A.lan: 10.0.0.1, b.lan: ["::1", 10.0.0.2] } }\n' +
      'log: { access: { file: "-" } }\nupstreams: { ghcr.io: { tags: { ttl: 1h30m, staleOnError: 500ms } } }',
  );
  t.deepEqual(config.listen, {
    https: [{ host: '::', port: 0 }],
    http: [{ host: 'localhost', port: 1 }],
    admin: [{ host: '::1', port: 65535 }],
    proxies: ['127.0.0.1/32', '10.0.0.0/8', 'fd00::1/128'],
  });
  t.is(config.grants.offline, 0);
  t.deepEqual(config.dns.servers, ['9.9.9.9', '[::1]:53', '2620:fe::fe']);
  t.deepEqual(Object.entries(config.dns.pins), [
    ['a.lan', ['10.0.0.1']],
    ['b.lan', ['::1', '10.0.0.2']],
  ]);
  t.is(config.log.access.file, '-');
  t.deepEqual(upstream(config, 'ghcr.io').tags, { ttl: 5_400_000, staleOnError: 500 });
});

test('sizes are read in each of their forms, and an alias as it stands', async (t) => {
  for (const [written, bytes] of [
    ['0', 0],
    ['512k', 524_288],
    ['"1G"', 2 ** 30],
    ['1000', 1000],
  ] as const) {
    t.is((await load(`log: { access: { maxSize: ${written} } }`)).log.access.maxSize, bytes, written);
  }
  for (const wrong of ['-1', '1.5g', '10 m', '1p', 'many', '999999999t'])
    await t.throwsAsync(load(`log: { access: { maxSize: ${wrong} } }`), { message: /a size such as 100m/ }, wrong);
  for (const wrong of ['-1', '1.5', 'five', '1001'])
    await t.throwsAsync(load(`log: { access: { keep: ${wrong} } }`), { message: /a whole number from 0/ }, wrong);
  t.is((await load('upstreams: { docker.io: { alias: hub } }')).upstreams['docker.io']?.alias, 'hub');
  await t.throwsAsync(load('upstreams: { docker.io: { alias: "a b" } }'), { message: /a word of letters/ });
});

test('a listener takes one address or a list, each as text or with the networks that it lets in', async (t) => {
  const { listen } = await load(
    'listen:\n  https: [":443", { address: "192.0.2.1:8443", allow: [192.0.2.0/24, "2001:DB8::/32", 10.0.0.7] }]\n' +
      '  http: { address: ":5000", allow: ["::1"] }\n',
  );
  t.deepEqual(listen.https, [
    { host: '::', port: 443 },
    { host: '192.0.2.1', port: 8443, allow: ['192.0.2.0/24', '2001:db8::/32', '10.0.0.7/32'] },
  ]);
  t.deepEqual(listen.http, [{ host: '::', port: 5000, allow: ['::1/128'] }]);
});

test('a configuration cannot be changed, and its maps hold nothing but their keys', async (t) => {
  const config = await load('upstreams: { constructor: { urls: [http://10.0.0.1] } }');
  t.true(Object.isFrozen(config) && Object.isFrozen(config.upstreams) && Object.isFrozen(config.upstreams.constructor));
  t.true(Object.isFrozen(config.listen.http) && Object.isFrozen(config.names));
  t.false('toString' in config.upstreams);
  t.false('constructor' in config.dns.pins);
});

test('the published list covers every host of the presets and holds no name twice', (t) => {
  for (const { hosts, authHosts = [] } of PRESETS.values()) {
    for (const host of [...hosts, ...authHosts]) t.is(parsePermitted(host), host);
  }
  t.is(new Set(PUBLIC_REGISTRIES).size, PUBLIC_REGISTRIES.length);
  t.is(parsePermitted('com'), undefined);
  t.is(parsePermitted('notdocker.io'), undefined);
});
