import { X509Certificate } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import type { RegistryName } from '../../src/doctor/names.ts';
import { certificatesIn } from '../../src/doctor/roots.ts';
import { judgeTrust, type TrustFacts, type TrustPlace } from '../../src/doctor/trust.ts';
import { pathsOf, probeMirrors, probePlaces } from '../../src/doctor/trust-places.ts';
import { probeTrust } from '../../src/doctor/trust-probe.ts';
import { directoryOf } from '../store/directory.ts';
import { TestGateway } from '../support/gateway.ts';
import { createAuthority } from '../support/pki.ts';
import { fixes, said } from './findings.ts';

const NOW = Date.UTC(2026, 10, 21);
const DAY = 24 * 60 * 60 * 1000;
const ROOT = { fingerprint: 'AA:'.repeat(31).concat('AA'), notAfter: NOW + 1_000 * DAY };
const OLD = { fingerprint: 'BB:'.repeat(31).concat('BB'), notAfter: NOW + 1_000 * DAY };
const BUNDLE: TrustPlace = { client: 'system', file: '/etc/ssl/certs/ca-certificates.crt', roots: [ROOT] };
const GHCR = { name: 'ghcr.io', trusted: true, shown: true };

function judged(facts: Partial<TrustFacts>): readonly string[] {
  return said(judgeTrust(factsOf(facts)));
}

function factsOf(facts: Partial<TrustFacts>): TrustFacts {
  return {
    gateway: 'nas.lan:5000',
    now: NOW,
    roots: [ROOT],
    places: [BUNDLE],
    handshakes: [GHCR],
    led: new Set(['ghcr.io']),
    ...facts,
  };
}

test('a client that trusts the root and is shown what it trusts is right', (t) => {
  t.deepEqual(judged({}), [
    'ok: the right root CA is in /etc/ssl/certs/ca-certificates.crt; names shown a trusted certificate: 1',
  ]);
  t.regex(judged({ places: [], handshakes: [], led: new Set() })[0] ?? '', /^ok: no client of this machine trusts/);
});

test('an old root is found wherever it lies, and how to replace it', (t) => {
  for (const [client, file] of [
    ['docker', '/etc/docker/certs.d/ghcr.io/ca.crt'],
    ['podman', '/etc/containers/certs.d/ghcr.io/ca.crt'],
    ['containerd', '/etc/containerd/layover.crt'],
    ['buildkit', '/etc/buildkit/layover.crt'],
    ['k3s', '/etc/rancher/k3s/layover.crt'],
  ] as const) {
    const facts = factsOf({ places: [{ client, file, roots: [OLD] }] });
    t.regex(said(judgeTrust(facts))[0] ?? '', new RegExp(`^problem: ${file} trusts another root CA, SHA-256 BB:BB`));
    t.true(fixes(judgeTrust(facts))[0]?.startsWith(`sudo curl -fo ${file} http://nas.lan:5000/ca.crt (compare`));
    const { gateway: _, ...onGateway } = facts;
    t.true(fixes(judgeTrust(onGateway))[0]?.startsWith(`sudo layover ca export --out ${file}`));
  }
  const bundle = judgeTrust(factsOf({ places: [{ ...BUNDLE, roots: [OLD] }] }));
  t.true(
    fixes(bundle)[0]?.startsWith('layover setup system --gateway nas.lan:5000 --fingerprint SHA256 --apply (SHA256: '),
  );
  t.is(judged({ places: [{ ...BUNDLE, roots: [OLD, ROOT] }] }).length, 1);
});

test('a certificate that waits for being merged is found', (t) => {
  const anchor: TrustPlace = { ...BUNDLE, file: '/usr/local/share/ca-certificates/layover.crt' };
  const found = judgeTrust(factsOf({ places: [anchor] }));
  t.regex(said(found)[0] ?? '', /^problem: .*layover\.crt: not in the bundle that programs read/);
  t.regex(fixes(found)[0] ?? '', /^sudo update-ca-certificates/);
  const fedora = { ...anchor, file: '/etc/pki/ca-trust/source/anchors/layover.crt' };
  t.regex(fixes(judgeTrust(factsOf({ places: [fedora] })))[0] ?? '', /^sudo update-ca-trust/);
  t.deepEqual(
    judgeTrust(factsOf({ places: [anchor, BUNDLE] })).map(({ status }) => status),
    ['ok'],
  );
});

test('a file that a client names and that is not there is a problem', (t) => {
  const place: TrustPlace = { client: 'buildkit', file: '/etc/buildkit/ca.crt', roots: [], missing: true };
  t.deepEqual(judged({ places: [BUNDLE, place] }), [
    'problem: /etc/buildkit/ca.crt is named as a CA, and is not there',
  ]);
});

test('a root that has ended is a problem, one that ends soon a warning on clients', (t) => {
  const ending = (days: number) => [{ ...ROOT, notAfter: NOW + days * DAY }];
  t.deepEqual(judged({ roots: ending(-1) }), ['problem: the root CA ended on 2026-11-20']);
  t.deepEqual(judged({ roots: ending(30) }), ['warning: the root CA ends on 2026-12-21']);
  t.regex(judged({ roots: ending(100) })[0] ?? '', /^ok/);
  const { gateway: _, ...onGateway } = factsOf({ roots: ending(30) });
  t.deepEqual(
    judgeTrust(onGateway).map(({ status }) => status),
    ['ok'],
  );
});

test('handshakes that fail break the names that lead to the gateway, and no others', (t) => {
  const untrusted = { ...GHCR, trusted: false, code: 'SELF_SIGNED_CERT_IN_CHAIN' };
  t.regex(judged({ handshakes: [untrusted] })[0] ?? '', /^problem: this machine does not trust .* for ghcr\.io \(SELF/);
  t.regex(judged({ handshakes: [untrusted], led: new Set() })[0] ?? '', /^ok/);
  const docker: TrustPlace = {
    client: 'docker',
    file: '/etc/docker/certs.d/ghcr.io/ca.crt',
    host: 'ghcr.io',
    roots: [ROOT],
  };
  t.regex(judged({ handshakes: [untrusted], places: [docker] })[0] ?? '', /^warning: the system does not trust/);
  const uncovered = { name: 'ghcr.io', trusted: false, shown: false, code: 'ECONNRESET' };
  t.deepEqual(judged({ handshakes: [uncovered] }), [
    'problem: the gateway shows no certificate for ghcr.io (ECONNRESET)',
  ]);
  const away = { ...uncovered, code: 'ECONNREFUSED' };
  t.deepEqual(judged({ handshakes: [away] }), [
    'problem: the gateway cannot be reached on port 443 for ghcr.io (ECONNREFUSED)',
  ]);
  const { gateway: _, ...onGateway } = factsOf({ handshakes: [away] });
  t.deepEqual(
    judgeTrust(onGateway).map(({ status }) => status),
    ['ok'],
  );
});

test('without a root there is nothing to compare with', (t) => {
  t.deepEqual(judged({ roots: [] }), [
    'ok: the root CA of the gateway is not known, so there is nothing to compare with',
  ]);
  const { gateway: _, ...onGateway } = factsOf({ roots: [] });
  t.deepEqual(
    judgeTrust(onGateway).map(({ status }) => status),
    ['ok'],
  );
});

/** A root file system with these files. */
async function machine(t: ExecutionContext, files: Readonly<Record<string, string>>): Promise<string> {
  const root = directoryOf(t);
  for (const [file, text] of Object.entries(files)) {
    await mkdir(dirname(join(root, file)), { recursive: true });
    await writeFile(join(root, file), text);
  }
  return root;
}

test('every place is found in which a client keeps a root', async (t) => {
  await using gateway = await TestGateway.start({ upstreams: [] });
  await using before = await TestGateway.start({ upstreams: [] });
  const [right, old] = [await gateway.rootCertificate(), await before.rootCertificate()];
  const foreign = createAuthority().ca;
  const roots = certificatesIn(right);
  const root = await machine(t, {
    '/etc/ssl/certs/ca-certificates.crt': `${foreign}\nnot a certificate\n${right}`,
    '/usr/local/share/ca-certificates/layover.crt': old,
    '/etc/docker/certs.d/ghcr.io/ca.crt': old,
    '/etc/docker/certs.d/other.example/ca.crt': foreign,
    '/etc/containers/certs.d/ghcr.io/ca.crt': right,
    '/etc/containerd/certs.d/docker.io/hosts.toml':
      'server = "https://x"\n[host."https://nas.lan"]\n  ca = "/etc/l.crt"\n',
    '/etc/l.crt': old,
    '/etc/buildkit/buildkitd.toml': '[registry."nas.lan"]\n  ca = ["/etc/gone.crt"]\n',
    '/etc/rancher/k3s/registries.yaml': 'configs:\n  nas.lan:\n    tls:\n      ca_file: /etc/l.crt\n',
  });
  const [a, b] = [roots[0]?.fingerprint256, new X509Certificate(old).fingerprint256];
  const brief = (await probePlaces(root, roots)).map(({ client, file, host, roots: held, missing }) => [
    client,
    file,
    host,
    missing
      ? 'missing'
      : held.map(({ fingerprint }) => (fingerprint === a ? 'right' : fingerprint === b ? 'old' : 'other')).join(),
  ]);
  t.deepEqual(brief, [
    ['system', '/etc/ssl/certs/ca-certificates.crt', undefined, 'right'],
    ['system', '/usr/local/share/ca-certificates/layover.crt', undefined, 'old'],
    ['docker', '/etc/docker/certs.d/ghcr.io/ca.crt', 'ghcr.io', 'old'],
    ['podman', '/etc/containers/certs.d/ghcr.io/ca.crt', 'ghcr.io', 'right'],
    ['containerd', '/etc/l.crt', 'docker.io', 'old'],
    ['buildkit', '/etc/gone.crt', undefined, 'missing'],
    ['k3s', '/etc/l.crt', undefined, 'old'],
  ]);
  t.deepEqual(await probePlaces(await machine(t, {}), roots), []);
});

test('a mirror is found in the files of each client', async (t) => {
  const files = {
    '/etc/docker/daemon.json': '{"registry-mirrors":["http://nas.lan:5000"]}',
    '/etc/containerd/certs.d/_default/hosts.toml': '[host."http://192.0.2.10:5000"]',
    '/etc/containers/registries.conf.d/layover.conf': 'location = "nas.lan:5000/ghcr.io"',
    '/etc/buildkit/buildkitd.toml': 'mirrors = ["nas.lan:5000"]',
    '/etc/rancher/rke2/registries.yaml': 'endpoint: ["http://nas.lan:5000"]',
  };
  const root = await machine(t, files);
  const found = await probeMirrors(root, ['nas.lan:5000', '192.0.2.10:5000']);
  t.deepEqual([...found].sort(), Object.keys(files).sort());
  t.deepEqual(await probeMirrors(root, ['other.lan:5000']), []);
});

test('the paths of certificates are read in whatever form they stand', (t) => {
  t.deepEqual(pathsOf('ca = "/a.crt"\n  ca = ["/b.crt", \'/c.crt\']\n# ca = "/d.crt"\ncapabilities = ["/e"]', 'ca'), [
    '/a.crt',
    '/b.crt',
    '/c.crt',
  ]);
  t.deepEqual(pathsOf('tls:\n  ca_file: /a.crt\n  cert_file: /b.crt', 'ca_file'), ['/a.crt']);
});

const NAMES: readonly RegistryName[] = ['ghcr.io', 'unknown.example'].map((name) => ({
  name,
  registry: name,
  here: ['127.0.0.1'],
  elsewhere: [],
}));

test('handshakes with a running gateway tell a right root from an old one and from a name it does not know', async (t) => {
  await using gateway = await TestGateway.start({ upstreams: [] });
  await using before = await TestGateway.start({ upstreams: [] });
  const right = await gateway.rootCertificate();
  const listener = { address: '127.0.0.1', port: gateway.tlsPort };
  const shaken = async (bundle: string) => {
    const root = await machine(t, { '/etc/ssl/certs/ca-certificates.crt': bundle });
    return (await probeTrust(root, certificatesIn(right), NAMES, listener)).handshakes;
  };
  const none = { name: 'unknown.example', trusted: false, shown: false, code: 'ERR_SSL_TLSV1_UNRECOGNIZED_NAME' };
  t.deepEqual(await shaken(right), [{ name: 'ghcr.io', trusted: true, shown: true }, none]);
  const [wrong] = await shaken(await before.rootCertificate());
  t.like(wrong, { name: 'ghcr.io', trusted: false, shown: true });
  t.regex(wrong?.code ?? '', /SELF_SIGNED|UNABLE_TO/);
});
