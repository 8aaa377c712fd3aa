import { randomUUID } from 'node:crypto';
import { rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect } from 'node:tls';
import test, { type ExecutionContext } from 'ava';
import forge from 'node-forge';
import { type CertificatesEvent, type NoticeEvent, subscribe } from '../../src/events.ts';
import { certificateWarnings, Identity, type IdentityOptions, readCertificates } from '../../src/tls/identity.ts';
import { rootCertificate } from '../../src/tls/profile.ts';
import { activateNextRoot, makeNextRoot } from '../../src/tls/root.ts';
import { createAuthority } from '../support/pki.ts';
import { certificateOf, day, keyOf, serve, shake, shownNames, temporaryDirectory, temporaryRoot } from './fixture.ts';

const permitted = { permittedDns: ['registry.example', 'localhost'], permittedIps: [] };

async function open(t: ExecutionContext, options: Partial<IdentityOptions> & { readonly dir: string }) {
  const identity = await Identity.open({ own: ['localhost'], presented: new Set(['registry.example']), ...options });
  t.teardown(() => identity[Symbol.dispose]());
  return identity;
}

/** What is said and told about a name that no other test uses. */
function listen(t: ExecutionContext): { readonly notices: NoticeEvent[]; readonly events: CertificatesEvent[] } {
  const heard = { notices: [] as NoticeEvent[], events: [] as CertificatesEvent[] };
  t.teardown(subscribe('notice', (notice) => heard.notices.push(notice)));
  t.teardown(subscribe('certificates', (event) => heard.events.push(event)));
  return heard;
}

async function fingerprintShown(port: number, servername: string): Promise<string | undefined> {
  const socket = await shake({ port, servername, rejectUnauthorized: false });
  return socket.getPeerX509Certificate()?.fingerprint256;
}

test('both roots are handed out between the making of the next and the switch, then the next alone', async (t) => {
  const root = await temporaryRoot(t);
  const identity = await open(t, { dir: root.dir });
  t.is(identity.rootCertificates, root.certificatePem);
  const next = await makeNextRoot({ dir: root.dir, ...permitted });
  await identity.look();
  t.is(identity.rootCertificates, root.certificatePem + next.certificatePem);
  await activateNextRoot(root.dir);
  await identity.look();
  t.is(identity.rootCertificates, next.certificatePem);
});

test('the files are looked at again without being told', async (t) => {
  const root = await temporaryRoot(t);
  const identity = await open(t, { dir: root.dir, period: 10 });
  const next = await makeNextRoot({ dir: root.dir, ...permitted });
  while (!identity.rootCertificates.includes(next.certificatePem)) await sleep(10);
  t.pass();
});

test('a running server shows what the activated root signed, and its open connections stay', async (t) => {
  const root = await temporaryRoot(t);
  const identity = await open(t, { dir: root.dir });
  const { port } = await serve(t, identity);
  const held = connect({ host: '127.0.0.1', port, servername: 'registry.example', ca: root.certificatePem });
  t.teardown(() => held.destroy());
  const ask = () =>
    new Promise<string>((resolve, reject) => {
      held.once('data', (chunk) => resolve(String(chunk))).once('error', reject);
      held.write('GET / HTTP/1.1\r\nHost: registry.example\r\n\r\n');
    });
  t.regex(await ask(), /^HTTP\/1\.1 200/);
  const next = await makeNextRoot({ dir: root.dir, ...permitted });
  await identity.look();
  const both = { port, ca: identity.rootCertificates };
  for (const servername of ['registry.example', 'localhost']) {
    const socket = await shake({ ...both, servername });
    t.true(
      socket.getPeerX509Certificate()?.checkIssued(certificateOf(root.certificatePem)),
      'the old one still serves',
    );
  }
  const { notices } = listen(t);
  await activateNextRoot(root.dir);
  await identity.look();
  t.is(notices.filter(({ message }) => message.includes(next.fingerprint)).length, 1);
  for (const servername of ['registry.example', 'localhost']) {
    const socket = await shake({ ...both, servername });
    t.true(socket.getPeerX509Certificate()?.checkIssued(certificateOf(next.certificatePem)));
  }
  const unnamed = await shake({ port, rejectUnauthorized: false });
  t.true(unnamed.getPeerX509Certificate()?.checkIssued(certificateOf(next.certificatePem)));
  t.regex(await ask(), /^HTTP\/1\.1 200/);
});

test('a root that becomes unusable changes nothing, and is complained about once', async (t) => {
  const { notices } = listen(t);
  const root = await temporaryRoot(t);
  const identity = await open(t, { dir: root.dir });
  await writeFile(join(root.dir, 'ca.crt'), 'truncated');
  for (let times = 0; times < 3; times++) await identity.look();
  t.is(identity.rootCertificates, root.certificatePem);
  t.truthy(identity.secureContext('registry.example'));
  const about = notices.filter(({ message }) => message.includes(root.dir));
  t.is(about.length, 1);
  t.regex(about[0]?.message ?? '', /stay as they are: .*ca\.crt is not a certificate/);
});

test('a host that the root does not cover gets nothing, and is told once in every place', async (t) => {
  const { notices, events } = listen(t);
  const { dir } = await temporaryRoot(t);
  const added = `${randomUUID()}.example`;
  const identity = await open(t, { dir, presented: new Set(['registry.example', added]) });
  await identity.look();
  t.is(identity.secureContext(added), undefined);
  t.truthy(identity.secureContext('registry.example'));
  t.is(notices.filter(({ message, level }) => message.includes(added) && level === 'warn').length, 1);
  t.true(events.some(({ uncovered }) => uncovered.length === 1 && uncovered[0] === added));
  t.deepEqual(identity.warnings, [
    `no certificate covers ${added}, so clients cannot reach it here: make a root that does (ca renew)`,
  ]);
});

test('the end of the root is announced 60 days before it, with the next step', async (t) => {
  const { dir, notAfter } = await temporaryRoot(t);
  const at = (days: number) => notAfter.getTime() - days * day;
  const before = (await readCertificates(dir)) ?? t.fail();
  t.deepEqual(certificateWarnings(before, ['registry.example'], at(61)), []);
  t.regex(certificateWarnings(before, [], at(59)).join(), /^the root CA ends on \d{4}-\d\d-\d\d: make the next one/);
  await makeNextRoot({ dir, ...permitted });
  const after = (await readCertificates(dir)) ?? t.fail();
  t.regex(certificateWarnings(after, [], at(59)).join(), /switch to the next one \(ca renew --activate\)/);
});

test('a clock that is behind the root is suspected, and keeps nothing from being served', async (t) => {
  const { dir, certificatePem, notBefore } = await temporaryRoot(t);
  let now = notBefore.getTime() - 365 * day;
  const identity = await open(t, { dir, now: () => now });
  t.regex(identity.warnings.join(), /^the root CA begins on \d{4}-\d\d-\d\d: is the clock right\?$/);
  const { port } = await serve(t, identity);
  await shake({ port, servername: 'localhost', rejectUnauthorized: false });
  now = Date.now();
  t.deepEqual(identity.warnings, []);
  t.true(
    (await shake({ port, servername: 'localhost', ca: certificatePem })).authorized,
    'and what was shown is replaced',
  );
});

test('a root from the future is loaded', async (t) => {
  const { dir } = await temporaryRoot(t);
  const future = rootCertificate(await keyOf(dir), { dns: ['localhost'], ips: [] }, Date.now() + 365 * day);
  await writeFile(join(dir, 'ca.crt'), future);
  const identity = await open(t, { dir });
  t.is(identity.rootCertificates, future);
  t.regex(identity.warnings.join(), /begins on .*: is the clock right\?/);
});

test('nothing is made by reading', async (t) => {
  t.is(await readCertificates(await temporaryDirectory(t)), undefined);
});

/** Writes a certificate and its key as a renewing program does. */
async function bring(dir: string, { cert, key }: { cert: string; key: string }) {
  const files = { chain: join(dir, 'chain.pem'), key: join(dir, 'key.pem') };
  for (const [path, text] of [
    [files.chain, cert],
    [files.key, key],
  ] as const) {
    await writeFile(`${path}.new`, text);
    await rename(`${path}.new`, path);
  }
  return files;
}

test('a brought certificate is shown for the names it covers, and ours for the others', async (t) => {
  const root = await temporaryRoot(t);
  const authority = createAuthority();
  const dir = await temporaryDirectory(t);
  const brought = await bring(dir, authority.issue(['*.company.example', 'foreign.example']));
  const own = ['gateway.company.example', 'localhost'];
  const presented = new Set(['registry.example', 'hub.company.example']);
  const identity = await open(t, { dir: root.dir, own, presented, brought });
  const { port } = await serve(t, identity);
  for (const servername of ['gateway.company.example', 'hub.company.example', 'HUB.company.example.'])
    t.regex(await shownNames({ port, ca: authority.ca, servername, checkServerIdentity: () => undefined }), /DNS:\*/);
  for (const servername of ['registry.example', 'localhost'])
    t.is(await shownNames({ port, ca: root.certificatePem, servername }), `DNS:${servername}`);
  await t.throwsAsync(shake({ port, servername: 'foreign.example', rejectUnauthorized: false }), {
    code: 'ERR_SSL_TLSV1_UNRECOGNIZED_NAME',
  });
  t.is(identity.warnings.length, 1);
  t.regex(identity.warnings[0] ?? '', /^the certificate of certs\.chain ends on [\d-]{10}: put its successor there$/);
  const unnamed = await shake({ port, rejectUnauthorized: false });
  t.is(unnamed.getPeerX509Certificate()?.subjectAltName, 'DNS:localhost', 'without a name it is ours');
});

test('hosts under a wildcard share one certificate, ours or a brought one, and others can be presented at any time', async (t) => {
  const root = await temporaryRoot(t);
  const authority = createAuthority();
  const brought = await bring(await temporaryDirectory(t), authority.issue(['*.company.example'], 90));
  const presented = new Set(['*.registry.example', '*.company.example']);
  const identity = await open(t, { dir: root.dir, presented, brought });
  t.deepEqual(identity.warnings, []);
  const one = identity.secureContext('one.registry.example');
  t.truthy(one);
  t.is(identity.secureContext('OTHER.registry.example.'), one);
  t.not(identity.secureContext('one.company.example'), undefined);
  t.is(identity.secureContext('one.company.example'), identity.secureContext('two.company.example'));
  for (const none of [
    'registry.example',
    'a.b.registry.example',
    '*.registry.example',
    'a_b.registry.example',
    '.registry.example',
  ])
    t.is(identity.secureContext(none), undefined, none);
  identity.present(new Set(['late.registry.example', 'late.example']));
  t.is(identity.secureContext('one.registry.example'), undefined);
  t.is(identity.secureContext('one.company.example'), undefined);
  t.truthy(identity.secureContext('late.registry.example'));
  t.is(identity.secureContext('late.example'), undefined);
  t.regex(identity.warnings.join(), /^no certificate covers late\.example/);
});

test('a brought certificate for one of our addresses is what a client that names no server gets', async (t) => {
  const root = await temporaryRoot(t);
  const authority = createAuthority();
  const brought = await bring(await temporaryDirectory(t), authority.issue(['127.0.0.1']));
  const { port } = await serve(t, await open(t, { dir: root.dir, own: ['localhost', '127.0.0.1'], brought }));
  t.is(await shownNames({ port, ca: authority.ca }), 'IP Address:127.0.0.1');
});

test('a brought certificate that is replaced is shown from the next connection on, a broken one is not', async (t) => {
  const root = await temporaryRoot(t);
  const authority = createAuthority();
  const dir = await temporaryDirectory(t);
  const first = authority.issue(['localhost', '127.0.0.1'], 30);
  const brought = await bring(dir, first);
  const identity = await open(t, { dir: root.dir, own: ['localhost', '127.0.0.1'], brought });
  const { port } = await serve(t, identity);
  const shown = () => fingerprintShown(port, 'localhost');
  t.is(await shown(), certificateOf(first.cert).fingerprint256);
  const second = authority.issue(['localhost', '127.0.0.1'], 30);
  await writeFile(brought.chain, second.cert);
  await identity.look();
  t.is(await shown(), certificateOf(first.cert).fingerprint256, 'the key is still the old one');
  await writeFile(brought.key, second.key);
  await identity.look();
  t.is(await shown(), certificateOf(second.cert).fingerprint256);
  const unnamed = await shake({ port, rejectUnauthorized: false });
  t.is(unnamed.getPeerX509Certificate()?.fingerprint256, certificateOf(second.cert).fingerprint256);
  const context = identity.secureContext('localhost');
  await identity.look();
  t.is(identity.secureContext('localhost'), context, 'the same files are the same certificate');
});

test('a brought RSA certificate is shown by both versions of TLS, with and without a server name', async (t) => {
  const root = await temporaryRoot(t);
  const keys = forge.pki.rsa.generateKeyPair(2048);
  const certificate = forge.pki.createCertificate();
  certificate.publicKey = keys.publicKey;
  certificate.serialNumber = '01';
  certificate.validity.notAfter = new Date(Date.now() + day);
  certificate.setExtensions([
    {
      name: 'subjectAltName',
      altNames: [
        { type: 2, value: 'localhost' },
        { type: 7, ip: '127.0.0.1' },
      ],
    },
  ]);
  certificate.sign(keys.privateKey, forge.md.sha256.create());
  const pem = { cert: forge.pki.certificateToPem(certificate), key: forge.pki.privateKeyToPem(keys.privateKey) };
  const brought = await bring(await temporaryDirectory(t), pem);
  const { port } = await serve(t, await open(t, { dir: root.dir, own: ['localhost', '127.0.0.1'], brought }));
  for (const version of [{ maxVersion: 'TLSv1.2' }, { minVersion: 'TLSv1.3' }] as const)
    for (const name of [{ servername: 'localhost' }, {}]) {
      const socket = await shake({ port, ...version, ...name, rejectUnauthorized: false });
      t.is(socket.getPeerX509Certificate()?.publicKey.asymmetricKeyType, 'rsa');
    }
});

test('files that are no certificate and its key are refused by name', async (t) => {
  const root = await temporaryRoot(t);
  const authority = createAuthority();
  const dir = await temporaryDirectory(t);
  const { cert } = authority.issue(['localhost']);
  const brought = await bring(dir, { cert, key: authority.issue(['localhost']).key });
  await t.throwsAsync(open(t, { dir: root.dir, brought }), {
    message: /chain\.pem and .*key\.pem are not a certificate/,
  });
  await t.throwsAsync(open(t, { dir: root.dir, brought: { ...brought, chain: join(dir, 'none.pem') } }), {
    message: /none\.pem/,
  });
});
