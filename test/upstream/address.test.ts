import test from 'ava';
import { isHostName, isPrivateAddress } from '../../src/upstream/address.ts';

const PRIVATE = [
  '127.0.0.1',
  '127.1.2.3',
  '10.0.0.1',
  '10.255.255.255',
  '172.16.0.1',
  '172.31.255.255',
  '192.168.1.1',
  '169.254.169.254',
  '100.64.0.1',
  '0.0.0.0',
  '224.0.0.1',
  '255.255.255.255',
  '198.18.0.1',
  '203.0.113.9',
  '::',
  '::1',
  'fe80::1',
  'fc00::1',
  'fd12:3456::1',
  'ff02::1',
  'fec0::1',
  '2001:db8::1',
  '2002:a00:1::',
  '::ffff:10.0.0.1',
  '::ffff:7f00:1',
  '::ffff:169.254.169.254',
  '64:ff9b::10.0.0.1',
  '64:ff9b::a9fe:a9fe',
  '64:ff9b:1::1',
  '::10.0.0.1',
  'not an address',
  '',
];
const PUBLIC = [
  '8.8.8.8',
  '1.1.1.1',
  '172.15.255.255',
  '172.32.0.1',
  '192.167.1.1',
  '100.63.255.255',
  '11.0.0.1',
  '169.253.1.1',
  '2606:4700::1111',
  '2a00:1450::1',
  '::ffff:8.8.8.8',
  '64:ff9b::8.8.8.8',
];

for (const address of PRIVATE) {
  test(`${JSON.stringify(address)} is not taken for an address of the public internet`, (t) => {
    t.true(isPrivateAddress(address));
  });
}
for (const address of PUBLIC) {
  test(`${address} is an address of the public internet`, (t) => {
    t.false(isPrivateAddress(address));
  });
}

test('a host name is letters, digits and hyphens, and no number in disguise', (t) => {
  for (const name of [
    'ghcr.io',
    'registry-1.docker.io',
    'localhost',
    'a.b.c',
    'xn--bcher-kva.example',
    'REG.example',
  ]) {
    t.true(isHostName(name), name);
  }
  const bad = [
    '',
    '.',
    'a..b',
    'ghcr.io.',
    '-a.io',
    'a-.io',
    'a_b.io',
    'bücher.example',
    'a b',
    '1.2.3.4',
    '127.1',
    '0x7f.1',
    '2130706433',
    'a.0x7f',
    `${'a'.repeat(64)}.io`,
    'a.io\0',
    'a.io/x',
  ];
  for (const name of bad) t.false(isHostName(name), name);
});
