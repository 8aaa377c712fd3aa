import test from 'ava';
import fc from 'fast-check';
import { type RoutedConfig, routeTable } from '../../src/gateway/door.ts';
import { type Asked, route } from '../../src/gateway/route.ts';
import { RegistryError } from '../../src/oci/error.ts';
import { namespaced, referenceText } from '../../src/oci/route.ts';
import { upstreamConfig } from './start.ts';

const DIGEST = `sha256:${'a'.repeat(64)}`;

const config: RoutedConfig = {
  names: ['Gateway.lan', '10.0.0.5'],
  mirror: { default: 'docker.io' },
  hosted: { repositories: ['team/**', 'myapp'], push: 'none', delete: [] },
  upstreams: {
    'docker.io': upstreamConfig('docker.io', {
      hosts: ['docker.io', 'index.docker.io', 'registry-1.docker.io'],
      authHosts: ['auth.docker.io'],
      tokenHosts: ['auth.docker.io'],
      urls: [new URL('https://registry-1.docker.io')],
    }),
    'ghcr.io': upstreamConfig('ghcr.io', {}),
    'lscr.io': upstreamConfig('lscr.io', { tokenHosts: ['ghcr.io'] }),
    lab: upstreamConfig('lab', { hosts: ['lab.example'], urls: [new URL('http://10.1.1.1:5000/base')] }),
  },
};
const table = routeTable(config, new Set(['/', '/ca.crt']));

/** A target in one line: what it is, by which door, and what is asked for. */
function summary(asked: Asked): string {
  try {
    const target = route(table, asked);
    switch (target.kind) {
      case 'page':
        return `page ${target.page}`;
      case 'redirect':
        return `redirect ${target.location}`;
      case 'pass':
        return `pass ${target.upstream} ${target.base.href.replace(/\/$/, '')} ${target.path}`;
      case 'registry': {
        const { door, route: to } = target;
        if (to.kind === 'ping') return `${door} ping ${to.upstream ?? '-'}`;
        if (to.kind === 'catalog') return `${door} catalog ${to.query}`;
        if (to.kind === 'token') return `${door} token ${to.upstream} ${to.query}`;
        const reference = to.kind === 'manifest' ? referenceText(to.reference) : 'digest' in to ? to.digest : to.query;
        return `${door} ${to.kind} ${to.repository.root} ${namespaced(to.repository)} ${reference}`;
      }
    }
  } catch (error) {
    if (!(error instanceof RegistryError)) throw error;
    return `${error.status} ${error.code}`;
  }
}

function tls(sni: string | undefined, host: string | readonly string[], target: string, method = 'GET'): string {
  const hosts = typeof host === 'string' ? [host] : host;
  return summary({ listener: 'https', ...(sni !== undefined && { sni }), hosts, method, target });
}

function plain(host: string, target: string, method = 'GET'): string {
  return summary({ listener: 'http', hosts: [host], method, target });
}

const MANIFEST = '/v2/library/nginx/manifests/latest';

test('TLS is routed by server name, and Host has to agree with it', (t) => {
  const cases: readonly (readonly [string | undefined, string | readonly string[], string])[] = [
    ['ghcr.io', 'ghcr.io', 'transparent manifest cache ghcr.io/library/nginx latest'],
    ['ghcr.io', 'GHCR.IO', 'transparent manifest cache ghcr.io/library/nginx latest'],
    ['GHCR.io.', 'ghcr.io', 'transparent manifest cache ghcr.io/library/nginx latest'],
    ['ghcr.io', 'ghcr.io.', 'transparent manifest cache ghcr.io/library/nginx latest'],
    ['ghcr.io', 'ghcr.io:443', 'transparent manifest cache ghcr.io/library/nginx latest'],
    ['ghcr.io', 'ghcr.io.:8443', 'transparent manifest cache ghcr.io/library/nginx latest'],
    ['index.docker.io', 'index.docker.io', 'transparent manifest cache docker.io/library/nginx latest'],
    ['ghcr.io', 'quay.io', '421 MISDIRECTED'],
    ['ghcr.io', 'docker.io', '421 MISDIRECTED'],
    ['ghcr.io', 'gateway.lan', '421 MISDIRECTED'],
    ['gateway.lan', 'ghcr.io', '421 MISDIRECTED'],
    ['gateway.lan', 'gateway.lan', 'mirror manifest cache docker.io/library/nginx latest'],
    [undefined, 'gateway.lan', 'mirror manifest cache docker.io/library/nginx latest'],
    [undefined, 'GATEWAY.LAN:8443', 'mirror manifest cache docker.io/library/nginx latest'],
    [undefined, 'localhost', 'mirror manifest cache docker.io/library/nginx latest'],
    [undefined, '10.0.0.5:443', 'mirror manifest cache docker.io/library/nginx latest'],
    [undefined, '[::1]:443', 'mirror manifest cache docker.io/library/nginx latest'],
    [undefined, 'ghcr.io', '421 MISDIRECTED'],
    [undefined, 'other.example', '421 MISDIRECTED'],
    ['ghcr.io', ['ghcr.io', 'ghcr.io'], '400 BAD_REQUEST'],
    ['ghcr.io', [], '400 BAD_REQUEST'],
    ['ghcr.io', '', '400 BAD_REQUEST'],
    ['ghcr.io', 'ghcr.io:443:443', '400 BAD_REQUEST'],
    ['ghcr.io', 'user@ghcr.io', '400 BAD_REQUEST'],
    ['ghcr.io', 'ghcr.io/x', '400 BAD_REQUEST'],
    ['ghcr.io', 'ghcr.io..', '400 BAD_REQUEST'],
    ['ghcr.io', 'gh cr.io', '400 BAD_REQUEST'],
  ];
  for (const [sni, host, expected] of cases) t.is(tls(sni, host, MANIFEST), expected, `${sni} ${String(host)}`);
});

test('the transparent door knows every endpoint, never guesses library/ and ignores ns', (t) => {
  const cases: readonly (readonly [string, string, string, string])[] = [
    ['docker.io', 'GET', '/v2/', 'transparent ping docker.io'],
    ['docker.io', 'HEAD', '/v2', 'transparent ping docker.io'],
    ['docker.io', 'GET', '/v2/nginx/manifests/1', 'transparent manifest cache docker.io/nginx 1'],
    ['docker.io', 'HEAD', `/v2/a/b/manifests/${DIGEST}`, `transparent manifest cache docker.io/a/b ${DIGEST}`],
    ['docker.io', 'GET', `/v2/a/b/blobs/${DIGEST}`, `transparent blob cache docker.io/a/b ${DIGEST}`],
    ['docker.io', 'GET', '/v2/a/b/tags/list?n=5&ns=ghcr.io&last=x', 'transparent tags cache docker.io/a/b n=5&last=x'],
    ['docker.io', 'GET', `/v2/a/b/referrers/${DIGEST}`, `transparent referrers cache docker.io/a/b ${DIGEST}`],
    ['docker.io', 'GET', '/v2/ghcr.io/a/manifests/1?ns=lab', 'transparent manifest cache docker.io/ghcr.io/a 1'],
    ['lab.example', 'GET', '/v2/team/app/manifests/1', 'transparent manifest cache lab/team/app 1'],
    ['docker.io', 'GET', '/v2/A/manifests/1', '400 NAME_INVALID'],
    ['docker.io', 'GET', '/v2/a/manifests/-', '404 TAG_INVALID'],
    ['docker.io', 'GET', '/v2/a/blobs/sha256:12', '400 DIGEST_INVALID'],
  ];
  for (const [host, method, target, expected] of cases) t.is(tls(host, host, target, method), expected, target);
});

test('everything else on a presented host is passed to the upstream, web pages to the host itself', (t) => {
  const hub = 'pass docker.io https://registry-1.docker.io';
  const cases: readonly (readonly [string, string, string, string])[] = [
    ['docker.io', 'PUT', '/v2/a/b/manifests/1', `${hub} /v2/a/b/manifests/1`],
    ['docker.io', 'POST', '/v2/a/b/blobs/uploads/?mount=x&ns=y', `${hub} /v2/a/b/blobs/uploads/?mount=x`],
    ['docker.io', 'PATCH', '/v2/a/b/blobs/uploads/id?_state=%2F', `${hub} /v2/a/b/blobs/uploads/id?_state=%2F`],
    ['docker.io', 'GET', '/v2/_catalog?n=3', `${hub} /v2/_catalog?n=3`],
    ['docker.io', 'GET', '/v2/a/blobs/md5:00', `${hub} /v2/a/blobs/md5:00`],
    ['docker.io', 'DELETE', '/v2/', `${hub} /v2/`],
    ['index.docker.io', 'GET', '/v1/search?q=a&ns=b', 'pass docker.io https://index.docker.io /v1/search?q=a&ns=b'],
    ['docker.io', 'GET', '/', 'pass docker.io https://docker.io /'],
    ['docker.io', 'GET', '/ca.crt', 'pass docker.io https://docker.io /ca.crt'],
    ['docker.io', 'GET', '/v2x/', 'pass docker.io https://docker.io /v2x/'],
    ['auth.docker.io', 'GET', '/v2/', 'pass docker.io https://auth.docker.io /v2/'],
    ['auth.docker.io', 'GET', '/x', 'pass docker.io https://auth.docker.io /x'],
    ['lab.example', 'PUT', '/v2/a/manifests/1', 'pass lab http://10.1.1.1:5000/base /v2/a/manifests/1'],
    ['lab.example', 'GET', '/', 'pass lab https://lab.example /'],
  ];
  for (const [host, method, target, expected] of cases) t.is(tls(host, host, target, method), expected, target);
});

test('a manifest that is written through is named, so that its tag can be forgotten', (t) => {
  const asked = { listener: 'https', sni: 'ghcr.io', hosts: ['ghcr.io'], method: 'PUT', target: MANIFEST } as const;
  const target = route(table, asked);
  const repository = { root: 'cache', upstream: 'ghcr.io', name: 'library/nginx' };
  t.like(target, { kind: 'pass', subject: { repository, reference: { tag: 'latest' } } });
});

test('tokens are asked for at one path on every presented host, and at /token where it is the registry’s own', (t) => {
  const cases: readonly (readonly [string, string, string, string])[] = [
    ['docker.io', 'GET', '/v2/_layover/token?service=x&scope=y', 'transparent token docker.io service=x&scope=y'],
    ['docker.io', 'POST', '/v2/_layover/token', 'transparent token docker.io '],
    ['docker.io', 'DELETE', '/v2/_layover/token', '405 UNSUPPORTED'],
    ['auth.docker.io', 'GET', '/v2/_layover/token', 'transparent token docker.io '],
    ['auth.docker.io', 'GET', '/token?scope=y', 'transparent token docker.io scope=y'],
    ['ghcr.io', 'GET', '/token', 'transparent token ghcr.io '],
    ['ghcr.io', 'DELETE', '/token', 'pass ghcr.io https://ghcr.io /token'],
    ['docker.io', 'GET', '/token', 'pass docker.io https://docker.io /token'],
    ['lscr.io', 'GET', '/token', 'pass lscr.io https://lscr.io /token'],
    ['gateway.lan', 'GET', '/v2/_layover/token', '404 UNSUPPORTED'],
    ['gateway.lan', 'GET', '/token', '404 UNSUPPORTED'],
  ];
  for (const [host, method, target, expected] of cases) t.is(tls(host, host, target, method), expected, target);
});

test('the plain listener serves our own names alone', (t) => {
  t.is(plain('ghcr.io', '/v2/'), '421 MISDIRECTED');
  t.is(plain('ghcr.io:80', MANIFEST), '421 MISDIRECTED');
  t.is(plain('auth.docker.io', '/v2/_layover/token'), '421 MISDIRECTED');
  t.is(plain('Ghcr.io:5000', '/a/b?c=d'), 'redirect https://ghcr.io/a/b?c=d');
  for (const host of ['gateway.lan', 'anything.example:5000', '192.0.2.7', '[::1]:5000', 'localhost:5000']) {
    t.is(plain(host, MANIFEST), 'mirror manifest cache docker.io/library/nginx latest', host);
    t.is(plain(host, '/v2/'), 'own ping -', host);
    t.is(plain(host, '/'), 'page /', host);
    t.is(plain(host, '/ca.crt', 'HEAD'), 'page /ca.crt', host);
    t.is(plain(host, '/ca.key'), '404 UNSUPPORTED', host);
    t.is(plain(host, '/', 'POST'), '405 UNSUPPORTED', host);
  }
});

test('on our own names ns comes first, then a namespace, then hosted prefixes, then the default upstream', (t) => {
  const cases: readonly (readonly [string, string])[] = [
    ['/v2/a/manifests/1?ns=ghcr.io', 'mirror manifest cache ghcr.io/a 1'],
    ['/v2/a/manifests/1?ns=GHCR.io', 'mirror manifest cache ghcr.io/a 1'],
    ['/v2/a/manifests/1?ns=registry-1.docker.io', 'mirror manifest cache docker.io/a 1'],
    ['/v2/a/manifests/1?ns=lab.example', 'mirror manifest cache lab/a 1'],
    ['/v2/ghcr.io/a/manifests/1?ns=lab', 'mirror manifest cache lab/ghcr.io/a 1'],
    ['/v2/team/a/manifests/1?ns=lab', 'mirror manifest cache lab/team/a 1'],
    ['/v2/a/tags/list?n=1&ns=lab', 'mirror tags cache lab/a n=1'],
    ['/v2/a/manifests/1?ns=quay.io', '404 NAME_UNKNOWN'],
    ['/v2/a/manifests/1?ns=constructor', '404 NAME_UNKNOWN'],
    ['/v2/a/manifests/1?ns=', '404 NAME_UNKNOWN'],
    ['/v2/?ns=quay.io', '404 NAME_UNKNOWN'],
    ['/v2/?ns=lab', 'own ping -'],
    ['/v2/ghcr.io/a/b/manifests/1', 'path manifest cache ghcr.io/a/b 1'],
    ['/v2/docker.io/nginx/manifests/1', 'path manifest cache docker.io/nginx 1'],
    ['/v2/lab/a/manifests/1', 'path manifest cache lab/a 1'],
    ['/v2/team/app/manifests/1', 'path manifest hosted team/app 1'],
    [`/v2/team/blobs/${DIGEST}`, `path blob hosted team ${DIGEST}`],
    ['/v2/teams/app/manifests/1', 'mirror manifest cache docker.io/teams/app 1'],
    ['/v2/nginx/manifests/1', 'mirror manifest cache docker.io/nginx 1'],
    ['/v2/quay.io/a/manifests/1', 'mirror manifest cache docker.io/quay.io/a 1'],
    ['/v2/lab/manifests/1', 'mirror manifest cache docker.io/lab 1'],
    ['/v2/_catalog?n=5&last=a', 'own catalog n=5&last=a'],
    ['/v2/_catalog?ns=lab', '404 UNSUPPORTED'],
    ['/v2/a/nothing', '404 UNSUPPORTED'],
    ['/v2/a/blobs/md5:00', '400 DIGEST_INVALID'],
  ];
  for (const [target, expected] of cases) t.is(plain('gateway.lan', target), expected, target);
});

test('a namespace in front of /v2/ says what ns would, for gateways whose base URL we are', (t) => {
  const cases: readonly (readonly [string, string])[] = [
    ['/ghcr.io/v2/acme/app/manifests/1', 'mirror manifest cache ghcr.io/acme/app 1'],
    ['/lab/v2/docker.io/app/tags/list?n=5&last=a', 'mirror tags cache lab/docker.io/app n=5&last=a'],
    ['/lab/v2/app/tags/list', 'mirror tags cache lab/app '],
    ['/lab/v2/app/tags/list?ns=ghcr.io', 'mirror tags cache lab/app '],
    ['/docker.io/v2/', 'own ping -'],
    ['/example.com/v2/app/manifests/1', '404 NAME_UNKNOWN'],
    ['/lab&ns=ghcr.io/v2/app/manifests/1', '404 NAME_UNKNOWN'],
    ['/lab%26n=1/v2/app/tags/list', '404 NAME_UNKNOWN'],
    ['/lab/base/v2/app/manifests/1', '404 UNSUPPORTED'],
    ['/lab/v2app', '404 UNSUPPORTED'],
    ['/lab', '404 UNSUPPORTED'],
  ];
  for (const [target, expected] of cases) t.is(plain('gateway.lan:5000', target), expected, target);
  t.is(plain('gateway.lan:5000', '/lab/v2/app/blobs/uploads/', 'POST'), '403 DENIED');
});

test('a push goes to a hosted repository and to nothing else', (t) => {
  const open = routeTable({ ...config, hosted: { ...config.hosted, push: 'anyone' } }, new Set());
  const to = (method: string, target: string): unknown => {
    const found = route(open, { listener: 'http', hosts: ['gateway.lan'], method, target });
    return found.kind === 'registry' ? found.route : found;
  };
  const hosted = (name: string): object => ({ root: 'hosted', upstream: '', name });
  t.deepEqual(to('POST', '/v2/myapp/blobs/uploads/?mount=x&from=library/a'), {
    kind: 'upload',
    repository: hosted('myapp'),
    query: 'mount=x&from=library/a',
    from: { root: 'cache', upstream: 'docker.io', name: 'library/a' },
  });
  t.like(to('POST', '/v2/myapp/blobs/uploads/?from=team/b'), { from: hosted('team/b') });
  t.like(to('POST', '/v2/myapp/blobs/uploads/?from=../b'), { kind: 'upload', from: undefined });
  t.like(to('PATCH', '/v2/team/a/blobs/uploads/id'), { repository: hosted('team/a'), session: 'id' });
  t.like(to('PUT', '/v2/team/a/manifests/1?tag=2'), { kind: 'manifest', reference: { tag: '1' }, query: 'tag=2' });
  t.like(to('DELETE', `/v2/team/a/blobs/${DIGEST}`), { kind: 'blob', digest: DIGEST });
  for (const target of ['/v2/other/blobs/uploads/', '/v2/lab/a/blobs/uploads/', '/v2/team/a/blobs/uploads/?ns=lab'])
    t.throws(() => to('POST', target), { code: 'DENIED', message: /hosted\.repositories/ }, target);
  t.throws(() => to('PUT', '/v2/team/a/manifests/md5:00'), { code: 'DIGEST_INVALID' });
});

test('without a default upstream an unknown name is unknown', (t) => {
  const { fallback: _, ...bare } = table;
  const asked = { listener: 'http', hosts: ['gateway.lan'], method: 'GET', target: MANIFEST } as const;
  t.throws(() => route(bare, asked), { message: /no upstream/ });
});

test('a push to our own names is refused with the key to set, also where it will be allowed one day', (t) => {
  for (const [method, target] of [
    ['POST', '/v2/a/b/blobs/uploads/'],
    ['PUT', '/v2/docker.io/a/manifests/1'],
    ['DELETE', '/v2/a/manifests/1?ns=lab'],
  ] as const) {
    const asked = { listener: 'http', hosts: ['gateway.lan'], method, target } as const;
    t.throws(() => route(table, asked), { code: 'DENIED', message: /hosted\.repositories/ });
  }
  for (const name of ['team/a', 'myapp']) {
    const target = `/v2/${name}/blobs/uploads/`;
    const asked = { listener: 'http', hosts: ['gateway.lan'], method: 'POST', target } as const;
    t.throws(() => route(table, asked), { code: 'DENIED', message: /hosted\.push: anyone/ });
  }
  t.is(plain('gateway.lan', '/v2/team/a/blobs/uploads/id'), '403 DENIED');
  t.is(plain('gateway.lan', '/v2/', 'POST'), '405 UNSUPPORTED');
});

test('a target that two readers could read differently is refused before it is read at all', (t) => {
  const targets = [
    'http://ghcr.io/v2/',
    'ghcr.io/v2/',
    '*',
    '',
    '//evil/v2/',
    '/v2/../x',
    '/a/./b',
    '/a/..',
    '/v2/%2e%2e/a/manifests/1',
    '/%2E/b',
    '/a\\b',
    '/a#b',
    '/a b',
    '/caf\u00e9',
    '/a\u0000',
  ];
  for (const target of targets) {
    t.is(plain('gateway.lan', target), '400 BAD_REQUEST', target);
    t.is(tls('ghcr.io', 'ghcr.io', target), '400 BAD_REQUEST', target);
  }
  t.is(tls('ghcr.io', 'ghcr.io', '/v2/a%2fb/manifests/1'), '400 NAME_INVALID');
  t.is(tls('ghcr.io', 'ghcr.io', '/.../a?x=..'), 'pass ghcr.io https://ghcr.io /.../a?x=..');
});

test('whatever arrives, routing answers or refuses cleanly', (t) => {
  const word = fc.constantFrom(
    '/v2/',
    'ghcr.io',
    'a',
    '..',
    '/manifests/',
    '/blobs/',
    '?ns=',
    DIGEST,
    '%2e',
    '//',
    '\\',
  );
  const target = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.array(word).map((words) => `/${words.join('')}`),
  );
  const host = fc.oneof(fc.string(), fc.constantFrom('ghcr.io', 'gateway.lan', '__proto__', 'constructor'));
  const listener = fc.constantFrom('https' as const, 'http' as const);
  const method = fc.constantFrom('GET', 'PUT', 'OPTIONS');
  fc.assert(
    fc.property(target, host, host, listener, method, (path, one, sni, on, verb) => {
      summary({ listener: on, sni, hosts: [one], method: verb, target: path });
    }),
  );
  t.pass();
});
