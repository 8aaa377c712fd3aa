import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import type { Config } from '../../src/config/config.ts';
import { loadConfig } from '../../src/config/load.ts';
import { reload } from '../../src/config/reload.ts';

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

test('the same configuration changes nothing', async (t) => {
  const text = 'upstreams: { reg.lan: { urls: [http://10.0.0.1], ca: ./a.pem } }';
  const { config, applied, pending } = reload(await load(text), await load(text));
  t.deepEqual([applied, pending], [[], []]);
  t.deepEqual(
    { ...config, upstreams: { ...config.upstreams } },
    { ...(await load(text)), upstreams: config.upstreams },
  );
});

test('log level, grants and all of an upstream but its alias take effect, and nothing else does', async (t) => {
  const account = 'username: u, passwordFile: ./p';
  const before = await load(`upstreams: { ghcr.io: { credentials: { ${account}, serve: [acme/a] } }, lscr.io: {} }`);
  const after = await load(
    `log: { level: debug }
grants: { offline: 0 }
listen: { http: ":81" }
names: [other.lan]
upstreams:
  ghcr.io: { alias: github, challenge: verbatim, tags: { ttl: 5m }, urls: [https://mirror.lan], credentials: { ${account}, serve: [acme/b] } }
  lscr.io: null
  new.lan: {}
`,
  );
  const { config, applied, pending } = reload(before, after);
  t.deepEqual(applied.toSorted(), [
    'grants.offline',
    'log.level',
    'upstreams.ghcr.io.challenge',
    'upstreams.ghcr.io.credentials',
    'upstreams.ghcr.io.tags.ttl',
    'upstreams.ghcr.io.urls',
  ]);
  t.deepEqual(pending.toSorted(), [
    'listen.http',
    'names',
    'upstreams.ghcr.io.alias',
    'upstreams.lscr.io',
    'upstreams.new.lan',
  ]);
  t.is(config.log.level, 'debug');
  t.deepEqual(config.listen, before.listen);
  t.deepEqual(Object.keys(config.upstreams), Object.keys(before.upstreams));
  t.is(config.upstreams['ghcr.io']?.tags.ttl, 300_000);
  t.deepEqual(config.upstreams['ghcr.io']?.credentials[0]?.serve, ['acme/b']);
  t.deepEqual(config.upstreams['ghcr.io']?.urls, after.upstreams['ghcr.io']?.urls);
  t.false('alias' in (config.upstreams['ghcr.io'] ?? {}));
});

test('accounts, certificates and rules appear, change and go without a restart', async (t) => {
  const account = '{ username: u, passwordFile: ./p, serve: ["**"] }';
  const all = `upstreams: { ghcr.io: { credentials: ${account}, clientCert: { chain: c, key: k }, allow: [a], deny: [b] } }`;
  const keys = ['allow', 'clientCert', 'credentials', 'deny'].map((key) => `upstreams.ghcr.io.${key}`);
  const [none, some] = [await load(''), await load(all)];
  const there = reload(none, some);
  t.deepEqual([there.applied.toSorted(), there.pending], [keys, []]);
  t.deepEqual(there.config.upstreams['ghcr.io'], some.upstreams['ghcr.io']);
  const back = reload(there.config, none);
  t.deepEqual([back.applied.toSorted(), back.pending], [keys, []]);
  t.deepEqual(back.config.upstreams['ghcr.io'], none.upstreams['ghcr.io']);
});

test('hosts change at once, but for those that another has until a restart, whose upstream waits as a whole', async (t) => {
  const before = await load('names: [own.lan]\nupstreams: { a.lan: { authHosts: [b.lan] }, c.lan: {} }');
  const of = (text: string): Promise<Config> => load(`upstreams: { ${text} }`);
  for (const text of [
    'hosts: [x.lan, a.lan]',
    'hosts: [b.lan], authHosts: []',
    'hosts: ["*.d.lan"]',
    'hosts: [c.lan]',
  ]) {
    const next = await of(`a.lan: { ${text} }, c.lan: { hosts: [] }`);
    t.deepEqual(reload(before, next).config.upstreams['a.lan'], next.upstreams['a.lan'], text);
  }
  const account = 'credentials: { username: u, passwordFile: p }';
  for (const text of [
    `a.lan: { hosts: [c.lan], ${account} }, c.lan: null`,
    `a.lan: { hosts: [own.lan], ${account} }, c.lan: {}`,
    `a.lan: { authHosts: [own.lan], ${account} }, c.lan: {}`,
  ]) {
    const { config, pending } = reload(before, await of(text));
    t.deepEqual(config.upstreams['a.lan'], before.upstreams['a.lan'], text);
    t.true(pending.includes('upstreams.a.lan.credentials'), text);
  }
});

test('hosts that one upstream cannot give up yet are not had by another, and what changes no hosts does not wait', async (t) => {
  const before = await load('names: [own.lan]\nupstreams: { a.lan: { hosts: [a.lan, x.lan] }, b.lan: {}, c.lan: {} }');
  const after = await load(
    'upstreams: { a.lan: { hosts: [own.lan] }, b.lan: { hosts: [b.lan, x.lan] }, c.lan: { deny: [x] } }',
  );
  const { config } = reload(before, after);
  t.deepEqual(config.upstreams['a.lan']?.hosts, ['a.lan', 'x.lan']);
  t.deepEqual(config.upstreams['b.lan']?.hosts, ['b.lan']);
  t.deepEqual(config.upstreams['c.lan']?.deny, ['x']);
});
