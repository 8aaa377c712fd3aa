import { isIP } from 'node:net';
import test from 'ava';
import fc from 'fast-check';
import { addressBytes, addressText } from '../../src/tls/address.ts';
import { isPermitted, nameConstraints, readConstraints } from '../../src/tls/constraints.ts';
import { decode, encode } from '../../src/tls/der.ts';

const label = fc.stringMatching(/^[a-z0-9]([a-z0-9-]{0,8}[a-z0-9])?$/);
const host = fc
  .array(label, { minLength: 1, maxLength: 4 })
  .map((labels) => labels.join('.'))
  .filter((name) => isIP(name) === 0);

test('a permitted name covers itself and the names below it, in any case', (t) => {
  const permitted = { dns: ['docker.io', 'localhost'], ips: ['192.0.2.1', '2001:db8::1'] };
  for (const name of ['docker.io', 'registry-1.docker.io', 'a.b.docker.io', 'LOCALHOST', '192.0.2.1', '2001:DB8::1']) {
    t.true(isPermitted(permitted, name), name);
  }
  for (const name of ['io', 'xdocker.io', 'docker.io.evil', '', '.', '192.0.2.2', '2001:db8::2', '::ffff:192.0.2.1']) {
    t.false(isPermitted(permitted, name), name);
  }
});

test('a root made elsewhere may cover ranges of addresses', (t) => {
  const permitted = { dns: [], ips: ['10.1.0.0/255.255.0.0', '2001:db8::/ffff:ffff::'] };
  t.true(isPermitted(permitted, '10.1.200.3'));
  t.true(isPermitted(permitted, '2001:db8:1::'));
  t.false(isPermitted(permitted, '10.2.0.1'));
  t.false(isPermitted(permitted, '2001:db9::'));
  t.false(isPermitted(permitted, 'anything.example'));
});

test('what is written into a certificate is read back from it', (t) => {
  fc.assert(
    fc.property(
      fc.uniqueArray(host, { minLength: 1, maxLength: 30 }),
      fc.array(fc.oneof(fc.ipV4(), fc.ipV6()), { maxLength: 5 }),
      (dns, ips) => {
        const back = readConstraints(decode(encode(nameConstraints({ dns, ips }))));
        t.deepEqual(back.dns, dns);
        t.true([...dns, ...ips].every((name) => isPermitted(back, name)));
      },
    ),
    { numRuns: 200 },
  );
});

test('addresses survive the way to bytes and back', (t) => {
  fc.assert(
    fc.property(
      fc.oneof(fc.uint8Array({ minLength: 4, maxLength: 4 }), fc.uint8Array({ minLength: 16, maxLength: 16 })),
      (bytes) => {
        t.deepEqual(addressBytes(addressText(Buffer.from(bytes))), Buffer.from(bytes));
      },
    ),
  );
  for (const text of ['', 'localhost', '1.2.3', '1.2.3.4.5', 'fe80::1%eth0', '::g', '1.2.3.4/32']) {
    t.is(addressBytes(text), undefined, text);
  }
});

test('a root that would vouch for everything cannot be described', (t) => {
  t.throws(() => nameConstraints({ dns: [], ips: ['192.0.2.1'] }), { message: /at least one DNS name/ });
  for (const name of ['', '.', '*.example', '.example', 'exa mple', 'exämple', '192.0.2.1']) {
    t.throws(() => nameConstraints({ dns: [name], ips: [] }), { message: /not a host name/ }, name);
  }
  t.throws(() => nameConstraints({ dns: ['localhost'], ips: ['10.0.0.0/8'] }), { message: /not an IP address/ });
});
