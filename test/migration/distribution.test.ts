import test from 'ava';
import { ConfigError } from '../../src/config/error.ts';
import { distribution } from './configs.ts';

const CACHE = `version: 0.1
log:
  accesslog: { disabled: true }
  level: warn
  formatter: text
  fields: { service: registry }
storage:
  cache: { blobdescriptor: inmemory }
  filesystem:
    rootdirectory: /var/lib/registry
    maxthreads: 100
  delete: { enabled: true }
  redirect: { disable: true }
  maintenance: { uploadpurging: { enabled: true, age: 168h } }
auth:
  htpasswd: { realm: basic-realm, path: /etc/registry/htpasswd }
http:
  addr: :5000
  secret: hunter2
  host: https://cache.example.com
  debug: { addr: ":5001", prometheus: { enabled: true, path: /metrics } }
  headers: { X-Content-Type-Options: [nosniff] }
  http2: { disabled: false }
health: { storagedriver: { enabled: true, interval: 10s } }
proxy:
  remoteurl: https://registry-1.docker.io
  username: bot
  password: hunter2
  ttl: 168h
`;

test('a pull-through cache goes on at its address, for the same registry and no other', async (t) => {
  const { config } = await distribution(CACHE);
  t.deepEqual(config.listen.http, [{ host: '::', port: 5000 }]);
  t.deepEqual(config.listen.admin, [{ host: '::', port: 5001 }]);
  t.deepEqual(config.names, ['cache.example.com']);
  t.is(config.storage.root, '/var/lib/registry/layover');
  t.is(config.log.level, 'warn');
  t.is(config.mirror.default, 'docker.io');
  t.deepEqual(Object.keys(config.upstreams), ['docker.io']);
  t.like(config.upstreams['docker.io']?.credentials?.[0], { username: 'bot', passwordFile: '/srv/secrets/docker.io' });
});

test('what has no counterpart is named, and no secret with it', async (t) => {
  const { text, remarks } = await distribution(`${CACHE}strange: { token: hunter2 }\nredis: { password: hunter2 }\n`);
  const told = remarks.map((remark) => / ([^ ]+): /.exec(remark)?.[1]);
  for (const path of [
    'log.accesslog',
    'log.fields',
    'storage.cache',
    'storage.delete',
    'storage.redirect',
    'storage.maintenance',
    'storage.filesystem.maxthreads',
    'auth',
    'http.secret',
    'http.headers',
    'health',
    'proxy.password',
    'proxy.ttl',
    'redis',
    'strange',
  ])
    t.true(told.includes(path), path);
  t.regex(remarks.find((remark) => remark.includes('strange')) ?? '', /^config\.yml:\d+:\d+ strange: not known here/);
  t.notRegex(`${text}${remarks.join('')}`, /hunter2/);
});

test('TLS goes on with its certificate, and --map gives the registry another namespace', async (t) => {
  const written = `version: 0.1
loglevel: debug
storage: { s3: { bucket: images } }
http: { addr: "0.0.0.0:443", tls: { certificate: certs/c.pem, key: /k.pem, clientcas: [/ca.pem] } }
proxy: { remoteurl: "https://registry.example.com:5000" }
`;
  const { config, remarks } = await distribution(written, { map: { 'registry.example.com:5000': 'corp' } });
  t.deepEqual(config.certs.brought, { chain: '/srv/certs/c.pem', key: '/k.pem' });
  t.deepEqual(config.listen.http, [{ host: '127.0.0.1', port: 5000 }]);
  t.deepEqual([config.mirror.default, Object.keys(config.upstreams)], ['corp', ['corp']]);
  t.deepEqual(config.upstreams.corp?.hosts, ['registry.example.com']);
  t.regex(remarks.join('\n'), /tls\.certificate: a relative path.*\n.*tls\.clientcas: clients are not asked/);
  t.regex(remarks.join('\n'), /http\.tls: write the names that clients use/);
});

test('a registry without proxy.remoteurl is said to be no cache', async (t) => {
  const { remarks } = await distribution(
    'version: 0.1\nstorage: { filesystem: { rootdirectory: /r } }\nhttp: { addr: ":5000" }\n',
  );
  t.regex(remarks.join('\n'), /no proxy\.remoteurl, so this registry is no cache/);
});

test('a file that cannot be read is a mistake with its place and none of its words', async (t) => {
  const error = await t.throwsAsync(distribution('proxy:\n  password: hunter2\n :x\n'), { instanceOf: ConfigError });
  t.regex(error?.message ?? '', /^config\.yml:\d+:\d+ \(syntax\): expected JSON or YAML/);
  t.notRegex(error?.message ?? '', /hunter2/);
});
