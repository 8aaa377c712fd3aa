import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'ava';
import { createLeaves } from '../../src/tls/leaves.ts';
import { issue, serve, temporaryRoot } from './fixture.ts';
import { run } from './program.ts';

const presented = (name: string) => name === 'registry.example';

test('openssl reads every field of the root as it is meant', async (t) => {
  const { dir } = await temporaryRoot(t, '192.0.2.1');
  const text = await run(t, 'openssl', ['x509', '-in', join(dir, 'ca.crt'), '-noout', '-text']);
  if (text === undefined) return;
  for (const field of [
    /Version: 3/,
    /Signature Algorithm: ecdsa-with-SHA256/,
    /ASN1 OID: prime256v1/,
    /Basic Constraints: critical\s+CA:TRUE, pathlen:0\n/,
    /Key Usage: critical\s+Certificate Sign, CRL Sign\n/,
    /Extended Key Usage: \s+TLS Web Server Authentication\n/,
    /Subject Key Identifier: \s+([0-9A-F]{2}:){19}[0-9A-F]{2}\n/,
    /Name Constraints: critical\s+Permitted:\s+DNS:registry\.example\s+DNS:gateway\.lan\s+DNS:localhost\s+IP:192\.0\.2\.1\/255\.255\.255\.255\s+Excluded:\s+IP:0:0:0:0:0:0:0:0\/0:0:0:0:0:0:0:0\n/,
  ]) {
    t.regex(text.output, field);
  }
  t.is(text.output.match(/X509v3 [A-Z]/g)?.length, 5, 'and no other extension');
});

test('openssl reads every field of a leaf as it is meant', async (t) => {
  const root = await temporaryRoot(t, '192.0.2.1');
  const file = join(root.dir, 'leaf.crt');
  await writeFile(file, issue(root, 'registry.example', '192.0.2.1').cert);
  const text = await run(t, 'openssl', ['x509', '-in', file, '-noout', '-text']);
  if (text === undefined) return;
  for (const field of [
    /Signature Algorithm: ecdsa-with-SHA256/,
    /Subject: *\n/,
    /ASN1 OID: prime256v1/,
    /Key Usage: critical\s+Digital Signature\n/,
    /Extended Key Usage: \s+TLS Web Server Authentication\n/,
    /Subject Alternative Name: critical\s+DNS:registry\.example, IP Address:192\.0\.2\.1\n/,
    /Authority Key Identifier: \s+([0-9A-F]{2}:){19}[0-9A-F]{2}\n/,
  ]) {
    t.regex(text.output, field);
  }
  t.is(text.output.match(/X509v3 [A-Z]/g)?.length, 4, 'and no other extension');
});

for (const [inside, names, ips] of [
  [true, ['registry.example'], []],
  [true, ['deep.below.registry.example', 'localhost'], []],
  [true, ['localhost', '192.0.2.1'], ['192.0.2.1']],
  [true, ['localhost', '2001:db8::1'], ['2001:db8::1']],
  [true, ['192.0.2.1', '2001:db8::1'], ['192.0.2.1', '2001:db8::1']],
  [false, ['evil.example'], []],
  [false, ['xregistry.example'], []],
  [false, ['example'], []],
  [false, ['registry.example', 'evil.example'], []],
  [false, ['localhost', '192.0.2.1'], []],
  [false, ['localhost', '::1'], []],
  [false, ['localhost', '192.0.2.2'], ['192.0.2.1']],
  [false, ['localhost', '2001:db8::1'], ['192.0.2.1']],
  [false, ['localhost', '2001:db8::2'], ['2001:db8::1']],
  [false, ['localhost', '192.0.2.1'], ['2001:db8::1']],
  [false, ['localhost', '192.0.2.2', '2001:db8::1'], ['192.0.2.1', '2001:db8::1']],
] as const) {
  const address = ips.length === 0 ? 'no address' : ips.join(' and ');
  test(`openssl ${inside ? 'accepts' : 'refuses'} ${names.join(' with ')} under a root with ${address}`, async (t) => {
    const root = await temporaryRoot(t, ...ips);
    const file = join(root.dir, 'leaf.crt');
    await writeFile(file, issue(root, ...names).cert);
    const options = ['-x509_strict', '-purpose', 'sslserver', '-CAfile', join(root.dir, 'ca.crt')];
    const result = await run(t, 'openssl', ['verify', ...options, file]);
    if (result === undefined) return;
    t.is(result.code === 0, inside, result.output);
    t.regex(result.output, inside ? /: OK/ : /permitted subtree violation|excluded subtree violation/);
    t.is(
      names.every((name) => root.covers(name)),
      inside,
      'and covers() says the same',
    );
  });
}

test('openssl s_client is shown a certificate for each name, and an alert for a name that is unknown', async (t) => {
  const root = await temporaryRoot(t);
  const { port } = await serve(t, createLeaves(root, { own: ['gateway.lan'], presented }));
  const connect = (...options: string[]) => {
    const trust = ['-CAfile', join(root.dir, 'ca.crt'), '-verify_return_error'];
    return run(t, 'openssl', ['s_client', '-connect', `127.0.0.1:${port}`, ...trust, ...options]);
  };
  const known = await connect(
    '-servername',
    'Registry.Example',
    '-verify_hostname',
    'registry.example',
    '-alpn',
    'h2,http/1.1',
  );
  if (known === undefined) return;
  t.regex(known.output, /Verify return code: 0 \(ok\)/);
  t.regex(known.output, /ALPN protocol: http\/1\.1/);
  t.regex(known.output, /Cipher is TLS_AES_128_GCM_SHA256/);
  const nameless = await connect('-noservername', '-verify_hostname', 'gateway.lan');
  t.regex(nameless?.output ?? '', /Verify return code: 0 \(ok\)/);
  for (const version of ['-tls1_2', '-tls1_3']) {
    const unknown = await connect('-servername', 'evil.example', version);
    t.regex(unknown?.output ?? '', /alert unrecognized name|unrecognized name/);
    t.regex(unknown?.output ?? '', /no peer certificate available/);
  }
});
