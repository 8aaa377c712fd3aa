import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import type { Config } from '../../src/config/config.ts';
import { ConfigError } from '../../src/config/error.ts';
import { defaultsFor, isTree } from '../../src/config/layers.ts';
import { loadConfig } from '../../src/config/load.ts';
import { unknownVariables, variablesOf } from '../../src/config/variables.ts';

let cwd = '';
let files = 0;

test.before(async () => {
  cwd = await mkdtemp(join(tmpdir(), 'layover-config-'));
});

test.after.always(async () => {
  await rm(cwd, { recursive: true, force: true });
});

async function load(env: NodeJS.ProcessEnv, text = ''): Promise<Config> {
  const file = `${files++}.yaml`;
  await writeFile(join(cwd, file), text);
  return loadConfig({ file, env, cwd });
}

async function problemsOf(env: NodeJS.ProcessEnv, text = ''): Promise<readonly string[]> {
  try {
    await load(env, text);
    return [];
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return error.problems.map((line) => line.replace(/^\d+\.yaml:/, ''));
  }
}

function leavesOf(value: unknown, path = ''): string[] {
  if (!isTree(value) || Object.keys(value).length === 0) return [path.slice(1)];
  return Object.entries(value).flatMap(([key, inner]) => leavesOf(inner, `${path}.${key}`));
}

test('every key outside upstreams has a variable of its own', (t) => {
  const { upstreams: _, users: __, ...rest } = defaultsFor(undefined);
  const variables = variablesOf({ LAYOVER_NAMES: 'a' });
  const paths = variables.map(({ path }) => path.join('.'));
  for (const leaf of [...leavesOf(rest), 'users.file']) t.true(paths.includes(leaf), leaf);
  t.is(new Set(variables.map(({ name }) => name)).size, variables.length);
  t.true(variables.every(({ name }) => /^LAYOVER(?:_[A-Z]+)+$/.test(name)));
});

test('a variable wins over the file, and the file over the defaults', async (t) => {
  const file = 'log: { level: warn, access: { format: nginx } }\nnames: [file.lan]\n';
  const { log, names } = await load({ LAYOVER_LOG_LEVEL: 'debug' }, file);
  t.is(log.level, 'debug');
  t.is(log.access.format, 'nginx');
  t.deepEqual(names, ['file.lan']);
});

test('scalars, lists, maps, durations and null are read from variables', async (t) => {
  const config = await load({
    LAYOVER_LISTEN_HTTPS: '[::1]:444,192.0.2.1:443',
    LAYOVER_NAMES: 'a.lan, 192.0.2.1,',
    LAYOVER_STORAGE_ROOT: './elsewhere',
    LAYOVER_DNS_SERVERS: '9.9.9.9,[2620:fe::fe]:53',
    LAYOVER_DNS_PINS: 'A.lan=10.0.0.1,a.lan=10.0.0.2,b.lan=::1',
    LAYOVER_GRANTS_OFFLINE: '0',
    LAYOVER_MIRROR_DEFAULT: 'null',
    LAYOVER_LOG_ACCESS_FILE: '-',
  });
  t.deepEqual(config.listen.https, [
    { host: '::1', port: 444 },
    { host: '192.0.2.1', port: 443 },
  ]);
  t.deepEqual(config.names, ['a.lan', '192.0.2.1']);
  t.is(config.storage.root, join(cwd, 'elsewhere'));
  t.deepEqual(config.dns.servers, ['9.9.9.9', '[2620:fe::fe]:53']);
  t.is(config.grants.offline, 0);
  t.deepEqual(config.mirror, { read: 'anyone' });
  t.is(config.log.access.file, '-');
  t.deepEqual(Object.keys(config.dns.pins), ['a.lan', 'b.lan']);
  t.deepEqual(config.dns.pins['b.lan'], ['::1']);
});

test('an empty variable and one of somebody else say nothing', async (t) => {
  const env = { LAYOVER_LOG_LEVEL: '', LAYOVER_SERVICE_HOST: '10.0.0.1', LAYOVER_PORT: 'tcp://10.0.0.1:80', HOME: '/' };
  const config = await load(env, 'log: { level: warn }');
  t.is(config.log.level, 'warn');
  t.deepEqual(unknownVariables(env), []);
  t.deepEqual(unknownVariables({ LAYOVER_LOG_LEVL: 'x' }), [{ name: 'LAYOVER_LOG_LEVL', meant: 'LAYOVER_LOG_LEVEL' }]);
});

test('a mistake names the variable, after the mistakes of the file', async (t) => {
  const env = {
    LAYOVER_LISTEN_HTTP: 'nowhere',
    LAYOVER_NAMES: 'a.lan,*.lan',
    LAYOVER_LOG_LEVEL: 'inof',
    LAYOVER_DNS_PINS: 'a.lan',
    LAYOVER_MIRROR_DEFAULT: 'dockr.io',
  };
  t.deepEqual(
    (await problemsOf(env, 'grants: { offline: soon }\n')).map((line) => line.replace(/one of docker.*aws/, '…')),
    [
      '1:20 grants.offline: expected a duration such as 24h, 0s, 30d or 1h30m, got "soon"',
      'LAYOVER_LISTEN_HTTP listen.http: expected an address such as "[::]:443", 0.0.0.0:443 or :5000, got "nowhere"',
      'LAYOVER_NAMES names[1]: expected a host name or an IP address, got "*.lan"',
      'LAYOVER_DNS_PINS dns.pins: expected name=address, several of them with commas between, got "a.lan"',
      'LAYOVER_LOG_LEVEL log.level: expected one of debug, info, warn, error, got "inof" (did you mean info?)',
      'LAYOVER_MIRROR_DEFAULT mirror.default: expected …, got "dockr.io" (did you mean docker.io?)',
    ],
  );
});

test('mistakes between a variable and the file, and wrong names within one, blame the variable', async (t) => {
  t.deepEqual(await problemsOf({ LAYOVER_LISTEN_HTTP: ':444' }, 'listen: { https: ":444" }\n'), [
    'LAYOVER_LISTEN_HTTP listen.http: expected another address than listen.https, got ":444"',
  ]);
  t.deepEqual(await problemsOf({ LAYOVER_DNS_PINS: 'a_b=10.0.0.1' }), [
    'LAYOVER_DNS_PINS dns.pins.a_b: expected a host name, got "a_b"',
  ]);
});

test('a file with something else where a map belongs is told although a variable sets a key there', async (t) => {
  t.deepEqual(await problemsOf({ LAYOVER_STORAGE_ROOT: './x' }, 'storage: ./data\n'), [
    '1:10 storage: expected a map, got "./data"',
  ]);
});
