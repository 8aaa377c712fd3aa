import { createPublicKey, generateKeyPairSync } from 'node:crypto';
import { chmod, mkdir, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'ava';
import { certify, distinguishedName, extensionId, extensionOf, keyIdentifier } from '../../src/tls/certificate.ts';
import { content, member } from '../../src/tls/der.ts';
import { rootCertificate } from '../../src/tls/profile.ts';
import { openRoot } from '../../src/tls/root.ts';
import { certificateOf, day, issue, keyOf, temporaryDirectory, temporaryRoot } from './fixture.ts';

const permitted = { permittedDns: ['registry.example', 'localhost'], permittedIps: [] };

async function mode(path: string): Promise<string> {
  return ((await stat(path)).mode & 0o777).toString(8);
}

test('the first start makes a root with a private key that only its owner can read', async (t) => {
  const dir = join(await temporaryDirectory(t), 'made', 'certs');
  const root = await openRoot({ dir, ...permitted });
  t.deepEqual((await readdir(dir)).sort(), ['ca.crt', 'ca.key']);
  t.is(await mode(dir), '700');
  t.is(await mode(join(dir, 'ca.key')), '600');
  t.is(root.certificatePem, await readFile(join(dir, 'ca.crt'), 'utf8'));
});

test('the next start finds the same root, whatever it would permit now', async (t) => {
  const dir = await temporaryDirectory(t);
  const first = await openRoot({ dir, ...permitted });
  const second = await openRoot({ dir, permittedDns: ['other.example'], permittedIps: ['192.0.2.1'] });
  t.is(second.fingerprint, first.fingerprint);
  t.deepEqual(second.permitted, { dns: ['registry.example', 'localhost'], ips: [] });
  t.false(second.covers('other.example'));
});

test('the root is a self-signed P-256 CA for ten years that may sign server certificates only', async (t) => {
  const root = await temporaryRoot(t);
  const certificate = certificateOf(root.certificatePem);
  t.true(certificate.ca);
  t.true(certificate.verify(certificate.publicKey));
  t.is(certificate.publicKey.asymmetricKeyDetails?.namedCurve, 'prime256v1');
  t.is(certificate.issuer, certificate.subject);
  t.regex(certificate.subject, /^O=Layover\nCN=Layover root CA [0-9a-f]{8}$/);
  t.deepEqual(certificate.keyUsage, ['1.3.6.1.5.5.7.3.1']);
  t.true(Math.abs(certificate.validFromDate.getTime() - (Date.now() - day)) < 60_000);
  t.is(certificate.validToDate.getTime() - certificate.validFromDate.getTime(), 3652 * day);
  t.regex(root.fingerprint, /^([0-9A-F]{2}:){31}[0-9A-F]{2}$/);
  t.is(root.fingerprint, certificate.fingerprint256);
});

test('a leaf is a P-256 server certificate for 90 days with its names in the SAN alone', async (t) => {
  const root = await temporaryRoot(t, '192.0.2.1', '2001:db8::1');
  const { cert } = issue(root, 'gateway.lan', '192.0.2.1', '2001:db8::1');
  const leaf = certificateOf(cert);
  const issuer = certificateOf(root.certificatePem);
  t.false(leaf.ca);
  t.true(leaf.checkIssued(issuer));
  t.true(leaf.verify(issuer.publicKey));
  t.is(leaf.subject, undefined as unknown as string, 'an empty subject');
  t.is(leaf.subjectAltName, 'DNS:gateway.lan, IP Address:192.0.2.1, IP Address:2001:DB8:0:0:0:0:0:1');
  t.deepEqual(leaf.keyUsage, ['1.3.6.1.5.5.7.3.1']);
  t.is(leaf.validToDate.getTime() - leaf.validFromDate.getTime(), 90 * day);
  t.true(leaf.validFromDate.getTime() <= Date.now() - day);
  const authority = extensionOf(leaf, extensionId.authorityKeyIdentifier) ?? t.fail();
  const identifier = extensionOf(issuer, extensionId.subjectKeyIdentifier) ?? t.fail();
  t.deepEqual(content(member(authority, 0)), content(identifier));
});

test('serial numbers are random, positive and long', async (t) => {
  const root = await temporaryRoot(t);
  const serials = Array.from({ length: 50 }, () => certificateOf(issue(root, 'localhost').cert).serialNumber);
  t.is(new Set(serials).size, 50);
  for (const serial of serials) t.regex(serial, /^[4-7][0-9A-F]{31}$/);
});

test('a leaf does not outlive its root', async (t) => {
  const dir = await temporaryDirectory(t);
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'prime256v1' });
  const nearlyOver = rootCertificate(privateKey, { dns: ['localhost'], ips: [] }, Date.now() - 3641 * day);
  await writeFile(join(dir, 'ca.key'), privateKey.export({ format: 'pem', type: 'pkcs8' }), { mode: 0o600 });
  await writeFile(join(dir, 'ca.crt'), nearlyOver);
  const root = await openRoot({ dir, ...permitted });
  t.is(certificateOf(issue(root, 'localhost').cert).validToDate.getTime(), root.notAfter.getTime());
});

test('a removed certificate is made anew for the same key, so that what the old one signed stays valid', async (t) => {
  const dir = await temporaryDirectory(t);
  const first = await openRoot({ dir, ...permitted });
  const { cert } = issue(first, 'localhost');
  await rm(join(dir, 'ca.crt'));
  const second = await openRoot({ dir, permittedDns: ['localhost', 'new.example'], permittedIps: [] });
  t.not(second.fingerprint, first.fingerprint);
  t.true(second.covers('new.example'));
  t.true(certificateOf(cert).checkIssued(certificateOf(second.certificatePem)));
});

test('an open directory without a key is closed, and may hold a README', async (t) => {
  const dir = join(await temporaryDirectory(t), 'certs');
  await mkdir(dir, { mode: 0o755 });
  await writeFile(join(dir, 'README.md'), 'about this folder');
  await openRoot({ dir, ...permitted });
  t.is(await mode(dir), '700');
});

test('a directory or key that others may use is refused with the command that mends it', async (t) => {
  const dir = join(await temporaryDirectory(t), "it's here");
  const { fingerprint } = await openRoot({ dir, ...permitted });
  const quoted = dir.replace("'", "'\\''");
  for (const loose of [0o750, 0o701, 0o770]) {
    await chmod(dir, loose);
    const error = await t.throwsAsync(openRoot({ dir, ...permitted }));
    t.true(error?.message.endsWith(`run: chmod 700 '${quoted}'`), error?.message);
  }
  await chmod(dir, 0o700);
  for (const loose of [0o640, 0o604, 0o660]) {
    await chmod(join(dir, 'ca.key'), loose);
    const error = await t.throwsAsync(openRoot({ dir, ...permitted }));
    t.true(error?.message.endsWith(`run: chmod 600 '${quoted}/ca.key'`), error?.message);
  }
  await chmod(join(dir, 'ca.key'), 0o400);
  t.is((await openRoot({ dir, ...permitted })).fingerprint, fingerprint);
});

test('a certificate without its key, or with another key, is refused', async (t) => {
  const dir = await temporaryDirectory(t);
  await openRoot({ dir, ...permitted });
  await rm(join(dir, 'ca.key'));
  await t.throwsAsync(openRoot({ dir, ...permitted }), { message: /ca\.crt is there but its key .*ca\.key is not/ });
  t.deepEqual(await readdir(dir), ['ca.crt'], 'and nothing is made');
  const other = await temporaryRoot(t);
  await writeFile(join(dir, 'ca.key'), await readFile(join(other.dir, 'ca.key')), { mode: 0o600 });
  await t.throwsAsync(openRoot({ dir, ...permitted }), { message: /ca\.crt does not belong to .*ca\.key/ });
});

test('files that are no key, no P-256 key or no certificate are refused by name', async (t) => {
  const dir = await temporaryDirectory(t);
  await writeFile(join(dir, 'ca.key'), '', { mode: 0o600 });
  await t.throwsAsync(openRoot({ dir, ...permitted }), { message: /ca\.key is not an unencrypted private key/ });
  const { privateKey } = generateKeyPairSync('ed25519');
  await writeFile(join(dir, 'ca.key'), privateKey.export({ format: 'pem', type: 'pkcs8' }));
  await t.throwsAsync(openRoot({ dir, ...permitted }), { message: /ca\.key is not a P-256 key/ });
  t.deepEqual(await readdir(dir), ['ca.key'], 'and no certificate is made for them');
  await rm(join(dir, 'ca.key'));
  await openRoot({ dir, ...permitted });
  await writeFile(join(dir, 'ca.crt'), 'truncated');
  await t.throwsAsync(openRoot({ dir, ...permitted }), { message: /ca\.crt is not a certificate in PEM/ });
});

test('an expired root and a certificate that is no root are refused', async (t) => {
  const { dir } = await temporaryRoot(t);
  const key = await keyOf(dir);
  const constraints = { dns: ['localhost'], ips: [] };
  await writeFile(join(dir, 'ca.crt'), rootCertificate(key, constraints, Date.now() - 3652 * day));
  await t.throwsAsync(openRoot({ dir, ...permitted }), { message: /ca\.crt expired on .*: move .* away/ });
  const name = distinguishedName({ commonName: 'no CA' });
  const fields = { issuer: name, subject: name, notBefore: Date.now() - day, notAfter: Date.now() + day };
  const publicKey = createPublicKey(key);
  await writeFile(join(dir, 'ca.crt'), certify({ ...fields, publicKey, extensions: [] }, key));
  await t.throwsAsync(openRoot({ dir, ...permitted }), { message: /ca\.crt is not a root CA/ });
  const extensions = [{ name: 'basicConstraints', critical: true, cA: true }];
  await writeFile(join(dir, 'ca.crt'), certify({ ...fields, publicKey, extensions }, key));
  await t.throwsAsync(openRoot({ dir, ...permitted }), { message: /ca\.crt has no name constraints/ });
});

test('the key identifier depends on the public key alone', (t) => {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'prime256v1' });
  t.deepEqual(keyIdentifier(publicKey), keyIdentifier(createPublicKey(privateKey)));
  t.is(keyIdentifier(publicKey).length, 20);
});
