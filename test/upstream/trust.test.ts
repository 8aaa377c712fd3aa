import test from 'ava';
import { UpstreamError } from '../../src/upstream/contract.ts';
import { checkForeignRealm, checkRealm, checkRedirect, type Rules } from '../../src/upstream/trust.ts';

const hub: Rules = {
  name: 'docker.io',
  urls: [new URL('https://registry-1.docker.io')],
  tokenHosts: ['auth.docker.io', 'tokens.lan:8443', '10.1.1.1:8080', '[fd00::1]:5001'],
  blobHosts: ['cdn.lan', '10.2.2.2', 'minio.lan:9000'],
};
const local: Rules = {
  name: 'lan',
  urls: [new URL('http://registry.lan:5000')],
  tokenHosts: ['auth.lan', '192.168.1.9'],
  blobHosts: [],
};

/** Realm, whether it is allowed for an upstream whose URL is public https, and for one that is http or private. */
const REALMS: readonly (readonly [realm: string, hub: boolean, local: boolean])[] = [
  ['https://auth.docker.io/token', true, false],
  ['https://AUTH.docker.io/token', true, false],
  ['HTTPS://auth.docker.io/token', true, false],
  ['https://auth.docker.io:443/token', true, false],
  ['https://auth.docker.io/token?service=x', true, false],
  ['https://auth.docker.io/token#x', true, false],
  ['https://auth.docker.io', true, false],
  ['https://registry-1.docker.io/token', true, false],
  ['https://tokens.lan:8443/t', true, false],
  ['http://tokens.lan:8443/t', true, false],
  ['http://10.1.1.1:8080/token', true, false],
  ['https://10.1.1.1:8080/token', true, false],
  ['https://[fd00::1]:5001/token', true, false],
  ['https://[fd00:0:0::1]:5001/token', true, false],
  ['http://registry.lan:5000/token', false, true],
  ['http://auth.lan/token', false, true],
  ['https://auth.lan/token', false, true],
  ['http://192.168.1.9/token', false, true],
  ['http://auth.docker.io/token', false, false],
  ['http://registry-1.docker.io/token', false, false],
  ['https://auth.docker.io:8443/token', false, false],
  ['https://registry-1.docker.io:444/token', false, false],
  ['https://tokens.lan/t', false, false],
  ['https://tokens.lan:443/t', false, false],
  ['https://evil.example/token', false, false],
  ['https://docker.io/token', false, false],
  ['https://auth.docker.io.evil.example/token', false, false],
  ['https://evil-auth.docker.io/token', false, false],
  ['https://xauth.docker.io/token', false, false],
  ['https://sub.auth.docker.io/token', false, false],
  ['https://auth.docker.io@evil.example/token', false, false],
  ['https://user:pass@auth.docker.io/token', false, false],
  ['https://user@auth.docker.io/token', false, false],
  ['https://evil.example/auth.docker.io', false, false],
  ['https://evil.example?auth.docker.io', false, false],
  ['https://evil.example#auth.docker.io', false, false],
  ['https://evil.example\\@auth.docker.io/token', false, false],
  ['https:\\\\auth.docker.io\\token', false, false],
  ['https://auth.docker.io\t/token', false, false],
  ['https://auth.docker.io\n/token', false, false],
  [' https://auth.docker.io/token', false, false],
  ['https://auth.docker.io /token', false, false],
  ['https://auth.docker.io\0/token', false, false],
  ['https://auth.docker.io./token', false, false],
  ['https://auth。docker.io/token', false, false],
  ['https://аuth.docker.io/token', false, false],
  ['https://169.254.169.254/latest/meta-data', false, false],
  ['http://169.254.169.254/latest/meta-data', false, false],
  ['https://127.0.0.1/token', false, false],
  ['https://127.1/token', false, false],
  ['https://0x7f.1/token', false, false],
  ['https://2130706433/token', false, false],
  ['https://[::1]/token', false, false],
  ['https://[::ffff:10.0.0.1]/token', false, false],
  ['https://10.1.1.1/token', false, false],
  ['https://localhost/token', false, false],
  ['https://192.168.1.9:444/token', false, false],
  ['ftp://auth.docker.io/token', false, false],
  ['file:///etc/passwd', false, false],
  ['javascript:alert(1)', false, false],
  ['//auth.docker.io/token', false, false],
  ['/token', false, false],
  ['auth.docker.io/token', false, false],
  ['', false, false],
  ['https://', false, false],
  [`https://auth.docker.io/${'x'.repeat(9_000)}`, false, false],
];

for (const [realm, atHub, atLocal] of REALMS) {
  const shown = JSON.stringify(realm.slice(0, 60));
  test(`a token server ${shown} is ${atHub || atLocal ? 'asked only by those who list it' : 'never asked'}`, (t) => {
    t.is(
      outcome(() => checkRealm(realm, hub, false).protocol),
      atHub ? 'allowed' : 'protocol',
    );
    t.is(
      outcome(() => checkRealm(realm, local, true).protocol),
      atLocal ? 'allowed' : 'protocol',
    );
  });
}

test(`${REALMS.length} realms are judged`, (t) => {
  t.true(REALMS.length >= 60);
});

const REGISTRY = new URL('https://us-west1-docker.pkg.dev/v2/k8s/images/pause/manifests/3');
const FOREIGN: readonly (readonly [realm: string, lax: boolean, allowed: boolean])[] = [
  ['https://us-west1-docker.pkg.dev/v2/token', false, true],
  ['https://pkg.dev/token', false, true],
  ['https://auth.pkg.dev/token', false, true],
  ['https://auth.docker.io/token', false, true],
  ['https://pkg.dev:8443/token', false, false],
  ['http://us-west1-docker.pkg.dev/v2/token', false, false],
  ['http://us-west1-docker.pkg.dev/v2/token', true, false],
  ['https://evil.example/token', false, false],
  ['https://evilpkg.dev/token', false, false],
  ['https://10.0.0.1/token', false, false],
  ['https://169.254.169.254/', true, false],
];

for (const [realm, lax, allowed] of FOREIGN) {
  test(`another registry's token server ${realm} is ${allowed ? '' : 'not '}asked anonymously (lax: ${lax})`, (t) => {
    t.is(
      outcome(() => checkForeignRealm(realm, REGISTRY, hub, lax).href),
      allowed ? 'allowed' : 'protocol',
    );
  });
}

const FROM = new URL('https://registry-1.docker.io/v2/library/nginx/blobs/sha256:00');
const REDIRECTS: readonly (readonly [location: string, result: 'guarded' | 'open' | 'refused'])[] = [
  ['https://production.cloudflare.docker.com/x?verify=1', 'guarded'],
  ['/artifacts-downloads/x', 'open'],
  ['../x', 'open'],
  ['?retry=1', 'open'],
  ['//cdn.example/x', 'guarded'],
  ['https://cdn.example:8443/x', 'guarded'],
  ['https://cdn.lan/x', 'open'],
  ['http://cdn.lan/x', 'open'],
  ['http://cdn.lan:81/x', 'refused'],
  ['http://minio.lan:9000/x', 'open'],
  ['https://minio.lan/x', 'guarded'],
  ['https://10.2.2.2/x', 'open'],
  ['https://10.2.2.2:8443/x', 'refused'],
  ['http://cdn.example/x', 'refused'],
  ['http://registry-1.docker.io/x', 'refused'],
  ['https://169.254.169.254/latest', 'refused'],
  ['https://127.0.0.1/x', 'refused'],
  ['https://127.1/x', 'refused'],
  ['https://0x7f.1/x', 'refused'],
  ['https://0177.0.0.1/x', 'refused'],
  ['https://2130706433/x', 'refused'],
  ['https://[::1]/x', 'refused'],
  ['https://[::ffff:10.0.0.1]/x', 'refused'],
  ['https://[fd00::1]/x', 'refused'],
  ['https://8.8.8.8/x', 'refused'],
  ['https://user:pass@cdn.example/x', 'refused'],
  ['https://cdn.example\\@evil.example/x', 'refused'],
  ['https://cdn.example./x', 'refused'],
  ['https://a_b.example/x', 'refused'],
  ['ftp://cdn.example/x', 'refused'],
  ['file:///etc/passwd', 'refused'],
  ['data:text/plain,x', 'refused'],
  ['https://cdn.example/\n', 'refused'],
  ['', 'refused'],
];

for (const [location, result] of REDIRECTS) {
  test(`a redirect of a public registry to ${JSON.stringify(location)} is ${result}`, (t) => {
    const check = () => checkRedirect(location, FROM, hub, false);
    t.is(outcome(check), result === 'refused' ? 'protocol' : 'allowed');
    if (result !== 'refused') t.is(check().guarded, result === 'guarded');
  });
}

test('an upstream that is itself http or private may redirect to http and private addresses', (t) => {
  const from = new URL('http://registry.lan:5000/v2/');
  for (const location of [
    'http://10.0.0.1/x',
    'https://[fd00::1]/x',
    'http://minio.lan:9000/x',
    'https://cdn.example/',
  ]) {
    t.false(checkRedirect(location, from, local, true).guarded);
  }
  t.is(
    outcome(() => checkRedirect('file:///etc/passwd', from, local, true)),
    'protocol',
  );
});

test('a refusal names the host and the key to set, but neither path nor query nor user', (t) => {
  const error = t.throws(() => checkRedirect('http://cdn.example/secret?X-Signature=secret', FROM, hub, false));
  t.regex(error?.message ?? '', /cdn\.example.*blobHosts/);
  t.notRegex(error?.message ?? '', /secret/);
  const other = t.throws(() => checkRealm('https://secret:secret@evil.example/', hub, false));
  t.notRegex(other?.message ?? '', /secret/);
});

function outcome(check: () => unknown): string {
  try {
    check();
    return 'allowed';
  } catch (error) {
    return error instanceof UpstreamError ? error.failure : String(error);
  }
}
