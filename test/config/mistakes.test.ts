import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { ConfigError } from '../../src/config/error.ts';
import { loadConfig } from '../../src/config/load.ts';

let cwd = '';

test.before(async () => {
  cwd = await mkdtemp(join(tmpdir(), 'layover-config-'));
});

test.after.always(async () => {
  await rm(cwd, { recursive: true, force: true });
});

let files = 0;

async function problemsOf(text: string): Promise<readonly string[]> {
  const file = `${files++}.yaml`;
  await writeFile(join(cwd, file), text);
  try {
    await loadConfig({ file, env: {}, cwd });
    return [];
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return error.problems.map((line) => line.replace(`${file}:`, ''));
  }
}

const NAMESPACE = 'a namespace: one component of a repository name, so in lower case and without a port';
const UPSTREAM_KEYS =
  'one of hosts, authHosts, alias, urls, ca, clientCert, credentials, tokenHosts, blobHosts, tags, challenge, limit, parallel, allow, deny, prefetch, complete';
const PRESETS =
  'one of docker.io, ghcr.io, quay.io, lscr.io, registry.k8s.io, gcr.io, mcr.microsoft.com, public.ecr.aws';
const ADDRESS = 'an address such as "[::]:443", 0.0.0.0:443 or :5000';
const NETWORK = 'a network such as 192.0.2.0/24 or 2001:db8::/32';
const DURATION = 'a duration such as 24h, 0s, 30d or 1h30m';
const URL_ = 'an http or https URL without credentials, query and /v2';
const IMAGES = 'a pattern such as library/**, acme/app-* or acme/app:v*';
const REQUESTS = 'requests in a span of time such as 100/6h or 5/s';
const HOST = 'a host name, or a wildcard such as *.azurecr.io';
const PATTERN = 'a repository pattern such as team/** or team/app-*';

const WRONG: readonly (readonly [title: string, text: string, ...problems: string[]])[] = [
  ['a list as the document', '- a', '1:1 (document): expected a map, got a list'],
  [
    'an unclosed quote',
    'grants:\n  offline: "24h\n',
    '3:1 (syntax): expected YAML, got an error: Missing closing "quote',
  ],
  [
    'a tab as indentation',
    '\tgrants: {}',
    '1:1 (syntax): expected YAML, got an error: Tabs are not allowed as indentation',
  ],
  ['an unknown tag', 'names: !mine [a]', '1:8 (syntax): expected YAML, got an error: Unresolved tag: !mine'],
  [
    'an IPv6 address without quotes',
    'listen:\n  https: [::]:443\n',
    `2:11 listen.https[0].address: expected ${ADDRESS}, got nothing`,
    '2:11 listen.https[0].:: expected one of address, allow, got ":"',
    '2:14 (syntax): expected YAML, got an error: Unexpected scalar at node end',
  ],
  [
    'unknown keys, one of them misspelled',
    'listen:\n  htps: ":443"\n  zebra: 1\nupstream: {}\n',
    '2:3 listen.htps: expected one of https, http, admin, proxies, got "htps" (did you mean https?)',
    '3:3 listen.zebra: expected one of https, http, admin, proxies, got "zebra"',
    '4:1 upstream: expected one of processes, listen, metrics, page, names, certs, storage, dns, log, mirror, hosted, users, grants, upstreams, got "upstream" (did you mean upstreams?)',
  ],
  [
    'a prototype as a key',
    'log:\n  __proto__: 1\n',
    '2:3 log.__proto__: expected one of level, access, got "__proto__"',
  ],
  ['a key that is no text', '[a]: 1', '1:1 (document): expected a plain key, got a list, a map or an alias as a key'],
  [
    'a key twice',
    'grants: { offline: 1h, offline: 2h }',
    '1:24 grants.offline: expected each key once, got it a second time',
  ],
  ['an alias of nothing', 'names: *ours', '1:8 names: expected the name of an anchor above, got an unknown one'],
  [
    'a merge key without a map',
    'log:\n  <<: 5\n',
    '2:7 log["<<"]: expected a map or a list of maps, got something else',
  ],
  [
    'values of the wrong type',
    'names: gateway.lan\nstorage: ./data\nlog: { level: 5, access: [] }\ngrants: { offline: true }\n',
    '1:8 names: expected a list, got "gateway.lan"',
    '2:10 storage: expected a map, got "./data"',
    '3:15 log.level: expected one of debug, info, warn, error, got 5',
    '3:26 log.access: expected a map, got a list',
    `4:20 grants.offline: expected ${DURATION}, got true`,
  ],
  [
    'addresses that are none',
    'listen: { https: "443", http: "[::]:70000", admin: "a b:1" }',
    `1:18 listen.https: expected ${ADDRESS}, got "443"`,
    `1:31 listen.http: expected ${ADDRESS}, got "[::]:70000"`,
    `1:52 listen.admin: expected ${ADDRESS}, got "a b:1"`,
  ],
  [
    'addresses and networks that are none, in each of their forms',
    'listen:\n  https: [":443", x, { address: y }]\n  http: { address: ":5000", alow: [10.0.0.0/8] }\n  admin: { address: ":9464", allow: [10.0.0.0/33, lan, "::1/129"] }\n',
    `2:19 listen.https[1]: expected ${ADDRESS}, got "x"`,
    `2:33 listen.https[2].address: expected ${ADDRESS}, got "y"`,
    '3:29 listen.http.alow: expected one of address, allow, got "alow" (did you mean allow?)',
    `4:38 listen.admin.allow[0]: expected ${NETWORK}, got "10.0.0.0/33"`,
    `4:51 listen.admin.allow[1]: expected ${NETWORK}, got "lan"`,
    `4:56 listen.admin.allow[2]: expected ${NETWORK}, got "::1/129"`,
  ],
  [
    'listeners without an address or a network',
    'listen: { https: [], http: { address: ":1", allow: [] }, admin: 5 }',
    '1:18 listen.https: expected at least one address, got a list',
    '1:52 listen.http.allow: expected at least one network, got a list',
    `1:65 listen.admin: expected ${ADDRESS}, got 5`,
  ],
  [
    'two listeners of one door on one port',
    'listen:\n  http: [":81", "10.0.0.1:81"]\n  admin: { address: ":81", allow: [10.0.0.0/8] }\n',
    '2:17 listen.http[1]: expected another address than listen.http[0], got "10.0.0.1:81"',
    '3:21 listen.admin.address: expected another address than listen.http[0], got ":81"',
  ],
  [
    'durations that are none',
    'grants: { offline: 24 }\nupstreams: { ghcr.io: { tags: { ttl: 30m1h, staleOnError: "" } } }',
    `1:20 grants.offline: expected ${DURATION}, got 24`,
    `2:38 upstreams.ghcr.io.tags.ttl: expected ${DURATION}, got "30m1h"`,
    `2:59 upstreams.ghcr.io.tags.staleOnError: expected ${DURATION}, got ""`,
  ],
  [
    'names, hosts and IP addresses that are none',
    'names: ["*.lan", 10.0.0.300]\ndns:\n  servers: [dns.google]\n  pins:\n    a_b: 10.0.0.1\n    a.lan: [10.0.0.1, b.lan]\n    b.lan: c.lan\n',
    '1:9 names[0]: expected a host name or an IP address, got "*.lan"',
    '1:18 names[1]: expected a host name or an IP address, got "10.0.0.300"',
    '3:13 dns.servers[0]: expected an IP address or ip:port, got "dns.google"',
    '5:5 dns.pins.a_b: expected a host name, got "a_b"',
    '6:23 dns.pins.a.lan[1]: expected an IP address, got "b.lan"',
    '7:12 dns.pins.b.lan[0]: expected an IP address, got "c.lan"',
  ],
  [
    'URLs that are none, without showing what stands before the @',
    'upstreams:\n  ghcr.io:\n    urls: ["https://me:hunter2@ghcr.io", ghcr.io, "https://ghcr.io/v2/", "ftp://ghcr.io"]\n  quay.io: { urls: [] }\n',
    `3:12 upstreams.ghcr.io.urls[0]: expected ${URL_}, got "…@ghcr.io"`,
    `3:42 upstreams.ghcr.io.urls[1]: expected ${URL_}, got "ghcr.io"`,
    `3:51 upstreams.ghcr.io.urls[2]: expected ${URL_}, got "https://ghcr.io/v2/"`,
    `3:74 upstreams.ghcr.io.urls[3]: expected ${URL_}, got "ftp://ghcr.io"`,
    '4:20 upstreams.quay.io.urls: expected at least one URL, got a list',
  ],
  [
    'hosts that cannot be presented or sent to',
    'upstreams:\n  ghcr.io: { hosts: [10.0.0.1], tokenHosts: ["a:b"], blobHosts: ["http://a"] }\n',
    '2:22 upstreams.ghcr.io.hosts[0]: expected a host name, or a wildcard such as *.azurecr.io, got "10.0.0.1"',
    '2:46 upstreams.ghcr.io.tokenHosts[0]: expected a host or host:port, got "a:b"',
    '2:66 upstreams.ghcr.io.blobHosts[0]: expected a host or host:port, got "http://a"',
  ],
  [
    'credentials, without showing them',
    'upstreams:\n  ghcr.io:\n    credentials: { username: 12345, password: hunter2, serve: [ACME] }\n  quay.io: { credentials: hunter2 }\n',
    '3:5 upstreams.ghcr.io.credentials.passwordFile: expected a path, got nothing',
    '3:30 upstreams.ghcr.io.credentials.username: expected a user name as a string, got a number',
    '3:37 upstreams.ghcr.io.credentials.password: expected one of username, passwordFile, serve, got "password" (did you mean passwordFile?)',
    `3:64 upstreams.ghcr.io.credentials.serve[0]: expected ${PATTERN}, got "ACME"`,
    '4:27 upstreams.quay.io.credentials: expected a map, got a string',
  ],
  [
    'accounts and certificates that are none, in a list',
    'upstreams:\n  ghcr.io:\n    credentials: [{ username: u, repositories: ["ghcr io"] }, hunter2]\n    clientCert: { chain: c }\n',
    '3:19 upstreams.ghcr.io.credentials[0].passwordFile: expected a path, got nothing',
    `3:49 upstreams.ghcr.io.credentials[0].repositories[0]: expected ${PATTERN}, got "ghcr io"`,
    '3:63 upstreams.ghcr.io.credentials[1]: expected a map, got a string',
    '4:5 upstreams.ghcr.io.clientCert.key: expected a path, got nothing',
  ],
  [
    'namespaces that are none',
    'upstreams:\n  reg.lan:5000: {}\n  a/b: { urls: [http://a.lan] }\n  nowhere_: {}\n',
    `2:3 upstreams.reg.lan:5000: expected ${NAMESPACE}, got "reg.lan:5000"`,
    `3:3 upstreams["a/b"]: expected ${NAMESPACE}, got "a/b"`,
    `4:3 upstreams.nowhere_: expected ${NAMESPACE}, got "nowhere_"`,
    '4:3 upstreams.nowhere_.urls: expected a list of URLs, got nothing',
  ],
  [
    'an unknown key of an upstream',
    'upstreams:\n  ghcr.io: { url: "https://ghcr.io" }\n',
    `2:14 upstreams.ghcr.io.url: expected ${UPSTREAM_KEYS}, got "url" (did you mean urls?)`,
  ],
  [
    'choices that are none',
    'log: { level: inof, access: { format: xml } }\nupstreams: { ghcr.io: { challenge: Verbatim } }\n',
    '1:15 log.level: expected one of debug, info, warn, error, got "inof" (did you mean info?)',
    '1:39 log.access.format: expected one of json, nginx, got "xml"',
    '2:36 upstreams.ghcr.io.challenge: expected one of relay, verbatim, got "Verbatim" (did you mean verbatim?)',
  ],
  [
    'patterns that are none',
    'hosted: { repositories: [team/, "a**", /x, "ok/**"] }',
    `1:26 hosted.repositories[0]: expected ${PATTERN}, got "team/"`,
    `1:33 hosted.repositories[1]: expected ${PATTERN}, got "a**"`,
    `1:40 hosted.repositories[2]: expected ${PATTERN}, got "/x"`,
  ],
  [
    'rules that are none',
    'upstreams: { ghcr.io: { allow: ["a:b:c", "A/**"], deny: acme } }',
    `1:33 upstreams.ghcr.io.allow[0]: expected ${IMAGES}, got "a:b:c"`,
    `1:42 upstreams.ghcr.io.allow[1]: expected ${IMAGES}, got "A/**"`,
    '1:57 upstreams.ghcr.io.deny: expected a list, got "acme"',
  ],
  [
    'limits that are none',
    'upstreams:\n  ghcr.io: { limit: { requests: 100, bandwidth: 1k } }\n  quay.io: { limit: { requests: 0/h, bandwith: 1m } }\n',
    `2:33 upstreams.ghcr.io.limit.requests: expected ${REQUESTS}, got 100`,
    '2:49 upstreams.ghcr.io.limit.bandwidth: expected bytes per second such as 1m or 200k, 16k at the least, got "1k"',
    `3:33 upstreams.quay.io.limit.requests: expected ${REQUESTS}, got "0/h"`,
    '3:38 upstreams.quay.io.limit.bandwith: expected one of requests, bandwidth, got "bandwith" (did you mean bandwidth?)',
  ],
  [
    'wildcards that are none, or mixed with what is none',
    'upstreams:\n  a: { hosts: ["*.lan", "a.*.example.com", "*", "*.10.0.0.1"], urls: [http://a.lan] }\n  b: { hosts: ["*.b.example", b.example], urls: [https://*.b.example, https://b.example] }\n  c.example: { urls: ["https://*.c.example", "https://a.*.example", "https://c.example/*"] }\n  d: { authHosts: ["*.d.example"], urls: [http://d.lan] }\nmirror: { default: b }\nhosted: { repositories: [x.b.example/ours] }\n',
    `2:16 upstreams.a.hosts[0]: expected ${HOST}, got "*.lan"`,
    `2:25 upstreams.a.hosts[1]: expected ${HOST}, got "a.*.example.com"`,
    `2:44 upstreams.a.hosts[2]: expected ${HOST}, got "*"`,
    `2:49 upstreams.a.hosts[3]: expected ${HOST}, got "*.10.0.0.1"`,
    '2:71 upstreams.a.urls[0]: expected a URL with * in front of its host or in place of it, since hosts are wildcards, got "http://a.lan"',
    '3:31 upstreams.b.hosts[1]: expected a wildcard, since another of these hosts is one, got "b.example"',
    '3:71 upstreams.b.urls[1]: expected a URL with * in front of its host or in place of it, since hosts are wildcards, got "https://b.example"',
    '4:23 upstreams.c.example.urls[0]: expected a URL without *, since no host is a wildcard, got "https://*.c.example"',
    `4:46 upstreams.c.example.urls[1]: expected ${URL_}, got "https://a.*.example"`,
    `4:69 upstreams.c.example.urls[2]: expected ${URL_}, got "https://c.example/*"`,
    '5:20 upstreams.d.authHosts[0]: expected a host name, got "*.d.example"',
    `6:20 mirror.default: expected ${PRESETS}, c.example, d, got "b" (did you mean d?)`,
    '7:26 hosted.repositories[0]: expected a prefix that is no namespace of upstreams, got "x.b.example/ours"',
  ],
  [
    'an account that any host of a zone could ask for',
    'upstreams:\n  a: { hosts: ["*.reg.example"], credentials: { username: u, passwordFile: p } }\n  b: { hosts: ["*.own.example"], urls: ["https://*.own.example"], credentials: { username: u, passwordFile: p } }\n',
    '2:47 upstreams.a.credentials: expected none beside wildcards without urls of their own, since clients choose the host that it is shown to (write that host as an upstream), got a map',
  ],
  [
    'a wildcard that two upstreams have',
    'upstreams:\n  a: { hosts: ["*.reg.example"] }\n  b: { hosts: ["*.Reg.example"] }\n',
    '3:16 upstreams.b.hosts[0]: expected a host of this upstream alone, got "*.Reg.example", which belongs to upstream a',
  ],
  [
    'a registry that the published list does not hold',
    'certs: { permit: [ghcr.io, us-docker.pkg.dev, example.com] }',
    '1:47 certs.permit[2]: expected a name of the published list, or one below it, got "example.com"',
  ],
  ['paths that are none', 'storage: { root: "" }', '1:18 storage.root: expected a path, got ""'],
  [
    'a host that two upstreams present',
    'upstreams:\n  hub: { hosts: [hub.lan, AUTH.docker.io], urls: [http://hub.lan] }\n  hub2: { hosts: [hub.lan:8443], urls: [http://hub.lan] }\n',
    '2:27 upstreams.hub.hosts[1]: expected a host of this upstream alone, got "AUTH.docker.io", which belongs to upstream docker.io',
    '3:19 upstreams.hub2.hosts[0]: expected a host of this upstream alone, got "hub.lan:8443", which belongs to upstream hub',
  ],
  [
    'a host that both serves and issues tokens',
    'upstreams:\n  a.lan: { authHosts: [a.lan] }\n',
    '2:24 upstreams.a.lan.authHosts[0]: expected a host of this upstream alone, got "a.lan" in hosts and authHosts',
  ],
  [
    'an upstream named after a host that another presents',
    'upstreams:\n  auth.docker.io: {}\n  docker.io: { hosts: [docker.io] }\n',
    '2:3 upstreams.auth.docker.io: expected a namespace that upstream docker.io does not present, got "auth.docker.io"',
  ],
  [
    'a default mirror that is no upstream',
    'mirror: { default: dockr.io }\n',
    `1:20 mirror.default: expected ${PRESETS}, got "dockr.io" (did you mean docker.io?)`,
  ],
  [
    'a name of our own that is presented',
    'names: [gateway.lan, QUAY.io]\n',
    '1:22 names[1]: expected a name of our own, got "QUAY.io", which upstream quay.io presents',
  ],
  [
    'an upstream that presents the built-in name of our own',
    'upstreams:\n  gateway.lan: { hosts: [gateway.lan] }\n',
    '2:26 upstreams.gateway.lan.hosts[0]: expected the name of a registry, got "gateway.lan", which is one of names',
  ],
  [
    'a hosted prefix that is a namespace',
    'hosted: { repositories: [team/**, quay.io/ours] }\n',
    '1:35 hosted.repositories[1]: expected a prefix that is no namespace of upstreams, got "quay.io/ours"',
  ],
  [
    'two listeners on one port',
    'listen: { https: ":5000", admin: "127.0.0.1:0" }\n',
    '1:18 listen.https: expected another address than listen.http, got ":5000"',
  ],
  [
    'null where nothing can be removed',
    'grants: null\nnames: ~\n',
    '1:9 grants: expected a map, got null',
    '2:8 names: expected a list, got null',
  ],
  [
    'a certificate without its key',
    'certs: { chain: ./fullchain.pem }\n',
    '1:1 certs.key: expected both chain and key, got nothing',
  ],
  [
    'mistakes of every sort at once, in the order of the file',
    'mirror: { default: nowhere }\nnames: [docker.io, 5]\nlisten: { http: x }\nfoo: 1\nupstreams: { a: }\n',
    `1:20 mirror.default: expected ${PRESETS}, a, got "nowhere"`,
    '2:9 names[0]: expected a name of our own, got "docker.io", which upstream docker.io presents',
    '2:20 names[1]: expected a host name or an IP address, got 5',
    `3:17 listen.http: expected ${ADDRESS}, got "x"`,
    '4:1 foo: expected one of processes, listen, metrics, page, names, certs, storage, dns, log, mirror, hosted, users, grants, upstreams, got "foo"',
  ],
];

for (const [title, text, ...problems] of WRONG) {
  test(`a file with ${title} is refused`, async (t) => {
    t.deepEqual(await problemsOf(text), problems);
  });
}

test('a file that is named must exist', async (t) => {
  const error = await t.throwsAsync(loadConfig({ file: 'missing.yaml', env: {}, cwd }), { instanceOf: ConfigError });
  t.deepEqual(error?.problems, ['missing.yaml:1:1 (file): expected a readable file, got ENOENT']);
});

test('a directory is no configuration', async (t) => {
  const error = await t.throwsAsync(loadConfig({ file: '.', env: {}, cwd }), { instanceOf: ConfigError });
  t.deepEqual(error?.problems, ['.:1:1 (file): expected a readable file, got EISDIR']);
});
