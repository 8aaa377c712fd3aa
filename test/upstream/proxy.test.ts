import test from 'ava';
import { Proxies, proxyFromEnvironment } from '../../src/upstream/proxy.ts';

test('the environment names the proxies, lower case first, empty values not at all', (t) => {
  t.deepEqual(proxyFromEnvironment({}), {});
  t.deepEqual(
    proxyFromEnvironment({ HTTPS_PROXY: 'http://a', https_proxy: 'http://b', NO_PROXY: '', HTTP_PROXY: 'c' }),
    {
      https: 'http://b',
      http: 'c',
    },
  );
});

const NO = 'ghcr.io, .internal *.corp,quay.io:8443 10.0.0.0/8 192.168.1.1 [fd00::1] fe80::/10';
const CASES: readonly (readonly [host: string, port: number, proxied: boolean])[] = [
  ['docker.io', 443, true],
  ['ghcr.io', 443, false],
  ['GHCR.io', 443, false],
  ['pkg.ghcr.io', 443, false],
  ['xghcr.io', 443, true],
  ['a.internal', 443, false],
  ['internal', 443, false],
  ['a.b.corp', 443, false],
  ['quay.io', 443, true],
  ['quay.io', 8443, false],
  ['10.1.2.3', 443, false],
  ['11.1.2.3', 443, true],
  ['192.168.1.1', 443, false],
  ['192.168.1.2', 443, true],
  ['fd00::1', 443, false],
  ['fe80::5', 443, false],
  ['localhost', 443, false],
  ['127.0.0.1', 443, false],
  ['::1', 443, false],
];
for (const [host, port, proxied] of CASES) {
  test(`${host}:${port} is asked ${proxied ? 'through' : 'without'} the proxy`, (t) => {
    const proxies = new Proxies({ https: 'proxy.lan:3128', no: NO });
    t.is(proxies.for(host, port, true)?.href, proxied ? 'http://proxy.lan:3128/' : undefined);
    t.is(proxies.for(host, port, false), undefined);
  });
}

test('a star in NO_PROXY switches the proxy off', (t) => {
  t.is(new Proxies({ https: 'http://p', no: '*' }).for('docker.io', 443, true), undefined);
});

test('a proxy that is no http URL is refused without repeating it', (t) => {
  for (const https of ['socks5://user:canary@p:1080', 'http://user:canary@[bad', 'ftp://canary']) {
    const error = t.throws(() => new Proxies({ https }));
    t.regex(error?.message ?? '', /^HTTPS_PROXY: expected/);
    t.notRegex(error?.message ?? '', /canary/);
  }
});
