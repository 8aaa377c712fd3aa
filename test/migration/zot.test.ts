import test from 'ava';
import { ConfigError } from '../../src/config/error.ts';
import { zot } from './configs.ts';

const sync = (...registries: readonly object[]): object => ({ extensions: { sync: { enable: true, registries } } });
const all = (destination?: string): object => ({ prefix: '**', ...(destination !== undefined && { destination }) });

test('a mirror for Docker Hub on a NAS goes on at its port and means Docker Hub', async (t) => {
  const { config, remarks } = await zot({
    distSpecVersion: '1.1.0',
    storage: { rootDirectory: '/data', dedupe: true, gc: true, gcDelay: '1h', gcInterval: '24h' },
    http: { address: '0.0.0.0', port: 5050 },
    log: { level: 'info' },
    extensions: {
      metrics: { enable: true, prometheus: { path: '/metrics' } },
      ui: { enable: false },
      sync: {
        enable: true,
        registries: [{ urls: ['https://index.docker.io'], onDemand: true, tlsVerify: true, content: [all()] }],
      },
    },
  });
  t.deepEqual(config.listen.http, [{ host: '0.0.0.0', port: 5050 }]);
  t.is(config.metrics, 'public');
  t.is(config.storage.root, '/data/layover');
  t.deepEqual(Object.keys(config.upstreams), ['docker.io']);
  t.deepEqual(config.upstreams['docker.io']?.hosts, ['docker.io', 'index.docker.io', 'registry-1.docker.io']);
  t.is(config.mirror.default, 'docker.io');
  t.is(remarks.filter((remark) => !/not needed|own below it|at \/metrics/.test(remark)).length, 0);
});

test('a destination goes on as the namespace, and with --map it is the registry by its own name', async (t) => {
  const written = sync(
    { urls: ['https://registry-1.docker.io'], onDemand: true, content: [all('/docker-images')] },
    { urls: ['https://ghcr.io'], onDemand: true, content: [all('/ghcr.io')] },
  );
  const kept = await zot(written);
  t.deepEqual(Object.keys(kept.config.upstreams).toSorted(), ['docker-images', 'ghcr.io']);
  const hub = kept.config.upstreams['docker-images'];
  t.deepEqual(hub?.hosts, ['docker.io', 'index.docker.io', 'registry-1.docker.io']);
  t.deepEqual([hub?.authHosts, hub?.tokenHosts], [['auth.docker.io'], ['auth.docker.io']]);
  t.is(kept.config.mirror.default, undefined);
  t.regex(kept.remarks.join('\n'), /registries\[0\]\.content: .*--map docker-images=docker\.io$/m);

  const mapped = await zot(written, { map: { 'docker-images': 'docker.io' } });
  t.deepEqual(Object.keys(mapped.config.upstreams).toSorted(), ['docker.io', 'ghcr.io']);
  t.is(mapped.config.upstreams['docker.io']?.alias, 'docker-images');
  t.regex(mapped.remarks.join('\n'), /pulls by path become \/docker\.io\//);
});

test('several addresses, ports, allowed repositories and plain HTTP are taken over', async (t) => {
  const { config, remarks } = await zot(
    sync(
      {
        urls: ['https://registry1.example.com:5000', 'http://192.0.2.7:5000'],
        content: [{ prefix: '/repo1/repo' }, { prefix: 'base/**' }],
      },
      { urls: ['http://192.0.2.9:5000'], content: [all('lab')] },
    ),
  );
  const [first, lab] = [config.upstreams['registry1.example.com'], config.upstreams.lab];
  t.deepEqual(first?.urls.map(String), ['https://registry1.example.com:5000/', 'http://192.0.2.7:5000/']);
  t.deepEqual(first?.hosts, ['registry1.example.com']);
  t.deepEqual(lab?.hosts, []);
  t.is(config.mirror.default, 'registry1.example.com');
  t.regex(JSON.stringify(first), /repo1\/repo.*base\/\*\*/);
  t.deepEqual(
    remarks.filter((remark) => /allow|prefix/.test(remark)),
    [],
  );
});

test('a destination for a part of a registry, or of several components, is no namespace', async (t) => {
  const { config, remarks } = await zot(
    sync(
      {
        urls: ['https://quay.io'],
        content: [{ prefix: '/a/b' }, { prefix: '/a/b', destination: '/c', stripPrefix: true }],
      },
      { urls: ['https://ghcr.io'], content: [all('/cached/ghcr.io')] },
      { urls: ['https://docker.io'], content: [{ prefix: '/library', destination: '/hub', stripPrefix: true }] },
    ),
  );
  t.deepEqual(Object.keys(config.upstreams).toSorted(), ['docker.io', 'ghcr.io', 'quay.io']);
  t.deepEqual(config.upstreams['quay.io']?.allow, ['a/b']);
  t.is(remarks.filter((remark) => /\.destination: no namespace/.test(remark)).length, 3);
});

test('an account becomes a reference to a file, and no password is written anywhere', async (t) => {
  const written = {
    extensions: { sync: { credentialsFile: './creds.json', registries: [{ urls: ['https://u:hunter2@ghcr.io'] }] } },
    storage: { rootDirectory: '/z', storageDriver: { name: 's3', secretkey: 'hunter2' } },
    cluster: { hashKey: 'hunter2' },
    strange: { secret: 'hunter2' },
  };
  const { config, text, remarks } = await zot(written, { accounts: { 'ghcr.io': 'bot' } });
  const [account] = config.upstreams['ghcr.io']?.credentials ?? [];
  t.like(account, { username: 'bot', passwordFile: '/srv/secrets/ghcr.io' });
  t.notRegex(`${text}${remarks.join('')}`, /hunter2/);
  t.regex(remarks.join('\n'), /credentialsFile: the password is not taken over: write it into \.\/secrets\/ghcr\.io/);
  t.regex(remarks.join('\n'), /the credentials of the address at ghcr\.io was left out/);
  t.regex((await zot(written)).remarks.join('\n'), /credentialsFile: it could not be read/);
});

test('everything without a counterpart is named with its path, and what to do instead', async (t) => {
  const { remarks } = await zot({
    storage: { rootDirectory: '/z', subPaths: { '/a': { rootDirectory: '/b' } }, retention: { delay: '1h' } },
    http: {
      port: '8080',
      tls: { cert: '/c', key: '/k', caCert: '/ca' },
      auth: { htpasswd: { path: '/h' } },
      accessControl: { repositories: { '**': { anonymousPolicy: ['read'] } } },
    },
    log: { level: 'loud', output: '/tmp/z.log' },
    extensions: {
      search: { enable: true, cve: { updateInterval: '2h' } },
      sync: {
        registries: [
          {
            urls: ['https://docker.io/library'],
            onDemand: false,
            pollInterval: '6h',
            tlsVerify: false,
            certDir: '/certs',
            onlySigned: true,
            novelty: 1,
            content: [
              { prefix: '/a/{b,c}' },
              { prefix: '/x', destination: '/y', stripPrefix: true, tags: { semver: true } },
              { prefix: '/x', destination: '/p/q' },
            ],
          },
        ],
      },
    },
  });
  const told = remarks.map((remark) => / ([^ ]+): /.exec(remark)?.[1]);
  const registry = 'extensions.sync.registries[0]';
  for (const path of [
    'storage.subPaths',
    'storage.retention',
    'http.tls',
    'http.tls.caCert',
    'http.auth',
    'http.accessControl',
    'log.level',
    'log.output',
    'extensions.search',
    ...['urls', 'onDemand', 'pollInterval', 'tlsVerify', 'certDir', 'onlySigned', 'novelty'].map(
      (key) => `${registry}.${key}`,
    ),
    `${registry}.content[0].prefix`,
    `${registry}.content[1].stripPrefix`,
    `${registry}.content[1].tags`,
    `${registry}.content[2].destination`,
  ])
    t.true(told.includes(path), `${path} in ${told.join(' ')}`);
  const lines = remarks.map((remark) => Number(/^config\.json:(\d+):\d+ /.exec(remark)?.[1]));
  t.deepEqual(
    lines,
    lines.toSorted((a, b) => a - b),
  );
});

test('a cache behind TLS or on one address is not opened to more networks than before', async (t) => {
  const registries = [{ urls: ['https://ghcr.io'] }];
  const tls = { cert: '/c.pem', key: '/k.pem' };
  const over = await zot({
    http: { address: '0.0.0.0', port: '5000', tls, externalUrl: 'https://cache.example.com' },
    extensions: { sync: { registries } },
  });
  t.deepEqual(over.config.listen.https, [{ host: '0.0.0.0', port: 5000 }]);
  t.deepEqual(over.config.listen.http, [{ host: '127.0.0.1', port: 5080 }]);
  t.deepEqual(
    [over.config.certs.brought, over.config.names],
    [{ chain: '/c.pem', key: '/k.pem' }, ['cache.example.com']],
  );
  const local = await zot({ extensions: { sync: { registries } } });
  t.deepEqual(local.config.listen.http, [{ host: '127.0.0.1', port: 8080 }]);
  t.deepEqual(local.config.listen.https, [{ host: '127.0.0.1', port: 8443 }]);
  const odd = await zot({ http: { address: '::', port: '9464' }, extensions: { sync: { registries } } });
  t.deepEqual([odd.config.listen.http[0].port, odd.config.listen.admin[0].port], [9464, 9465]);
});

test('registries that contradict each other still make a configuration that loads', async (t) => {
  const { config, remarks } = await zot(
    sync(
      { urls: ['https://docker.io'], content: [all('hub')] },
      { urls: ['https://index.docker.io'], content: [all('other')] },
      { urls: ['https://harbor.example.com'], content: [all('docker.io')] },
      { urls: ['https://quay.io'] },
      { urls: ['https://quay.io'] },
    ),
  );
  t.deepEqual(Object.keys(config.upstreams).toSorted(), ['docker.io', 'hub', 'other', 'quay.io']);
  t.deepEqual([config.upstreams.other?.hosts, config.upstreams['docker.io']?.hosts], [[], []]);
  t.regex(remarks.join('\n'), /registries\[4\]\.urls: quay\.io is there already/);
});

test('a registry that fetches nothing is said to be none, and YAML is read as well as JSON', async (t) => {
  const { config, remarks } = await zot('http:\n  address: 127.0.0.1\n  PORT: 8081\nlog:\n  level: debug\n');
  t.deepEqual([config.listen.http[0].port, config.log.level], [8081, 'debug']);
  t.regex(remarks.join('\n'), /this registry is no cache/);
});

const problems = async (
  t: { is(a: unknown, b: unknown): void },
  action: Promise<unknown>,
): Promise<readonly string[]> => {
  try {
    await action;
  } catch (error) {
    if (error instanceof ConfigError) return error.problems;
    throw error;
  }
  t.is('no error', 'a ConfigError');
  return [];
};

test('a file that is no JSON is one mistake with its place, and none of its words', async (t) => {
  t.deepEqual(await problems(t, zot('{\n  "password": "hunter2" "x"\n}')), [
    'config.json:2:25 (syntax): expected JSON or YAML, got something else from here on',
  ]);
  t.deepEqual(await problems(t, zot('{"http": {},\n"http": {}}')), [
    'config.json:2:1 http: expected each key once, got it a second time',
  ]);
  t.deepEqual(await problems(t, zot('[]')), ['config.json:1:1 (document): expected a map, got a list']);
  t.deepEqual(await problems(t, zot('')), ['config.json:1:1 (document): expected a map, got nothing']);
});

test('every value of another kind than expected is named with its place', async (t) => {
  const wrong =
    '{"http": {"port": [1]},\n"extensions": {"sync": {"enable": "perhaps",\n"registries": [{"urls": "https://ghcr.io"}]}}}';
  t.deepEqual(await problems(t, zot(wrong)), [
    'config.json:1:19 http.port: expected a text, got a list',
    'config.json:2:35 extensions.sync.enable: expected true or false, got a string',
    'config.json:3:25 extensions.sync.registries[0].urls: expected a list, got a string',
  ]);
});

test('a --map of something that the file does not have is a mistake', async (t) => {
  const made = zot(sync({ urls: ['https://ghcr.io'] }), { map: { nowhere: 'docker.io' } });
  t.regex((await problems(t, made)).join(), /^--map nowhere=…: the file names no destination/);
});
