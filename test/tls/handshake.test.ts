import { connect as connectTcp } from 'node:net';
import type { ConnectionOptions } from 'node:tls';
import test from 'ava';
import { createLeaves, type Leaves } from '../../src/tls/leaves.ts';
import { tlsOptions } from '../../src/tls/server-options.ts';
import { certificateOf, day, issue, serve, shake, shownNames, temporaryRoot } from './fixture.ts';

const presented = (name: string) => name.endsWith('registry.example');
const bothVersions: ConnectionOptions[] = [{ maxVersion: 'TLSv1.2' }, { minVersion: 'TLSv1.3' }];

test('each name is answered with a certificate that a client who trusts the root accepts', async (t) => {
  const root = await temporaryRoot(t);
  const { port } = await serve(t, createLeaves(root, { own: ['gateway.lan', 'localhost'], presented }));
  for (const version of bothVersions) {
    const options = { ...version, port, ca: root.certificatePem };
    t.is(await shownNames({ ...options, servername: 'registry.example' }), 'DNS:registry.example');
    t.is(await shownNames({ ...options, servername: 'eu.registry.example' }), 'DNS:eu.registry.example');
    t.is(await shownNames({ ...options, servername: 'gateway.lan' }), 'DNS:gateway.lan, DNS:localhost');
  }
});

test('a client that names no server gets the certificate for our own names', async (t) => {
  const root = await temporaryRoot(t, '127.0.0.1');
  const { port } = await serve(t, createLeaves(root, { own: ['gateway.lan', '127.0.0.1'], presented }));
  t.is(await shownNames({ port, ca: root.certificatePem }), 'DNS:gateway.lan, IP Address:127.0.0.1');
});

test('an unknown server name gets an alert and no certificate', async (t) => {
  const root = await temporaryRoot(t);
  const { port, errors } = await serve(t, createLeaves(root, { own: ['localhost'], presented }));
  for (const version of bothVersions) {
    const options = { ...version, port, servername: 'evil.example', rejectUnauthorized: false };
    await t.throwsAsync(shake(options), { code: 'ERR_SSL_TLSV1_UNRECOGNIZED_NAME' });
  }
  t.deepEqual(
    errors.map((error) => error.message),
    ['no certificate for evil.example', 'no certificate for evil.example'],
  );
});

test('the bytes an unknown server name gets are the alert and nothing else', async (t) => {
  const { port } = await serve(t, createLeaves(await temporaryRoot(t), { own: ['localhost'], presented }));
  const received: Buffer[] = [];
  const socket = connectTcp(port, '127.0.0.1');
  socket.end(greeting('evil.example'));
  for await (const chunk of socket) received.push(chunk);
  t.is(Buffer.concat(received).toString('hex'), '15030300020270');
});

test('a fault while a certificate is made ends the handshake and not the process', async (t) => {
  const leaves = createLeaves(await temporaryRoot(t), { own: ['localhost'], presented });
  const faulty: Leaves = {
    ...leaves,
    secureContext: () => {
      throw new Error('out of luck');
    },
  };
  const { port, errors } = await serve(t, faulty);
  await t.throwsAsync(shake({ port, servername: 'localhost', rejectUnauthorized: false }), {
    code: 'ERR_SSL_TLSV1_UNRECOGNIZED_NAME',
  });
  t.is(errors[0]?.message, 'cannot make a certificate');
  t.like(errors[0]?.cause, { message: 'out of luck' });
});

test('only HTTP/1.1 is agreed on', async (t) => {
  const root = await temporaryRoot(t);
  const { port } = await serve(t, createLeaves(root, { own: ['localhost'], presented }));
  const options = { port, ca: root.certificatePem, servername: 'localhost' };
  t.is((await shake({ ...options, ALPNProtocols: ['h2', 'http/1.1'] })).alpnProtocol, 'http/1.1');
  t.is((await shake(options)).alpnProtocol, false);
  await t.throwsAsync(shake({ ...options, ALPNProtocols: ['h2'] }), {
    code: 'ERR_SSL_TLSV1_ALERT_NO_APPLICATION_PROTOCOL',
  });
});

test('AES-128-GCM is preferred, ChaCha20 only for who prefers it; nothing before TLS 1.2', async (t) => {
  const root = await temporaryRoot(t);
  const { port } = await serve(t, createLeaves(root, { own: ['localhost'], presented }));
  const cipher = async (options: ConnectionOptions) =>
    (await shake({ port, ca: root.certificatePem, servername: 'localhost', ...options })).getCipher().name;
  t.is(await cipher({ minVersion: 'TLSv1.3' }), 'TLS_AES_128_GCM_SHA256');
  t.is(await cipher({ maxVersion: 'TLSv1.2' }), 'ECDHE-ECDSA-AES128-GCM-SHA256');
  t.is(
    await cipher({ ciphers: 'TLS_CHACHA20_POLY1305_SHA256:TLS_AES_128_GCM_SHA256' }),
    'TLS_CHACHA20_POLY1305_SHA256',
  );
  const old: ConnectionOptions = { minVersion: 'TLSv1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT@SECLEVEL=0' };
  await t.throwsAsync(cipher(old), { code: 'ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION' });
});

test('a stuck handshake is given ten seconds', async (t) => {
  const leaves = createLeaves(await temporaryRoot(t), { own: ['localhost'], presented });
  t.is(tlsOptions(leaves).handshakeTimeout, 10_000);
});

test('a running server shows renewed certificates, with and without a server name', async (t) => {
  const root = await temporaryRoot(t);
  let now = Date.now();
  const leaves = createLeaves(root, { own: ['localhost'], presented, now: () => now });
  const { port } = await serve(t, leaves);
  const end = async (servername?: string) => {
    // Node checks the name it was told even when it sends none: that is not what is looked at here.
    const socket = await shake({
      port,
      ca: root.certificatePem,
      rejectUnauthorized: false,
      ...(servername === undefined ? {} : { servername }),
    });
    return socket.getPeerX509Certificate()?.validToDate.getTime();
  };
  const names = [undefined, 'localhost', 'registry.example'];
  const before = await Promise.all(names.map(end));
  now += 61 * day;
  const after = await Promise.all(names.map(end));
  t.deepEqual(
    after,
    before.map((time) => (time ?? 0) + 61 * day),
  );
  const options = { port, rejectUnauthorized: false, minVersion: 'TLSv1.3' } as const;
  t.is((await shake(options)).getCipher().name, 'TLS_AES_128_GCM_SHA256', 'the other settings stay');
  t.is(after[0], certificateOf(leaves.own().cert).validToDate.getTime());
});

test('a renewal that falls between the making of the server and its first client is not missed', async (t) => {
  const root = await temporaryRoot(t);
  let now = Date.now();
  const leaves = createLeaves(root, { own: ['localhost'], presented, now: () => now });
  const { port } = await serve(t, leaves);
  now += 100 * day;
  const socket = await shake({ port, rejectUnauthorized: false });
  t.true((socket.getPeerX509Certificate()?.validToDate.getTime() ?? 0) > now);
});

test('a client refuses what a stolen root key signs for names and addresses outside', async (t) => {
  const root = await temporaryRoot(t, '192.0.2.1');
  const addressless = await temporaryRoot(t);
  for (const [from, names, servername] of [
    [root, ['evil.example'], 'evil.example'],
    [root, ['registry.example', 'evil.example'], 'registry.example'],
    [root, ['xregistry.example'], 'xregistry.example'],
    [root, ['registry.example', '192.0.2.2'], 'registry.example'],
    [root, ['registry.example', '::1'], 'registry.example'],
    [addressless, ['registry.example', '192.0.2.1'], 'registry.example'],
    [addressless, ['registry.example', '2001:db8::1'], 'registry.example'],
  ] as const) {
    const { port } = await serve(t, issue(from, ...names));
    const error = await t.throwsAsync(shake({ port, ca: from.certificatePem, servername }), undefined, names.join());
    t.regex((error as NodeJS.ErrnoException).code ?? '', /VIOLATION|UNSPECIFIED/, names.join());
    t.regex(error?.message ?? '', /permitted subtree violation|excluded subtree violation/, names.join());
  }
  const { port } = await serve(t, issue(root, 'registry.example', '192.0.2.1'));
  await t.notThrowsAsync(shake({ port, ca: root.certificatePem, servername: 'registry.example' }));
});

/** The smallest TLS 1.2 greeting that names a server (RFC 5246 section 7.4.1.2, RFC 6066 section 3). */
function greeting(servername: string): Buffer {
  const sized = (bytes: Buffer, width: number) => {
    const length = Buffer.alloc(width);
    length.writeUIntBE(bytes.length, 0, width);
    return Buffer.concat([length, bytes]);
  };
  const name = Buffer.concat([Buffer.from([0]), sized(Buffer.from(servername), 2)]);
  const extensions = Buffer.concat([Buffer.from([0, 0]), sized(sized(name, 2), 2)]);
  const body = Buffer.concat([
    Buffer.from([3, 3]),
    Buffer.alloc(32, 7),
    Buffer.from([0]),
    sized(Buffer.from([0xc0, 0x2b]), 2),
    Buffer.from([1, 0]),
    sized(extensions, 2),
  ]);
  const message = Buffer.concat([Buffer.from([1]), sized(body, 3)]);
  return Buffer.concat([Buffer.from([22, 3, 1]), sized(message, 2)]);
}
