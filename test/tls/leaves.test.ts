import test from 'ava';
import { createLeaves } from '../../src/tls/leaves.ts';
import { certificateOf, day, temporaryRoot } from './fixture.ts';

const presented = (name: string) => name.endsWith('registry.example');

test('our own names share one certificate; a presented name has its own', async (t) => {
  const root = await temporaryRoot(t, '192.0.2.1');
  const leaves = createLeaves(root, { own: ['gateway.lan', 'localhost', '192.0.2.1'], presented });
  const own = leaves.own();
  t.is(certificateOf(own.cert).subjectAltName, 'DNS:gateway.lan, DNS:localhost, IP Address:192.0.2.1');
  t.is(leaves.secureContext('gateway.lan'), own.context);
  t.is(leaves.secureContext('localhost'), own.context);
  t.not(leaves.secureContext('registry.example'), own.context);
});

test('names are told apart without case and without the dot at the end', async (t) => {
  const leaves = createLeaves(await temporaryRoot(t), { own: ['Gateway.LAN.'], presented });
  const context = leaves.secureContext('registry.example');
  t.truthy(context);
  t.is(leaves.secureContext('Registry.EXAMPLE'), context);
  t.is(leaves.secureContext('registry.example.'), context);
  t.is(leaves.secureContext('GATEWAY.lan.'), leaves.own().context);
});

test('nothing is made for a name that is not ours to answer for', async (t) => {
  const root = await temporaryRoot(t);
  let issued = 0;
  const counting = {
    ...root,
    issueLeaf: (...args: Parameters<typeof root.issueLeaf>) => {
      issued++;
      return root.issueLeaf(...args);
    },
  };
  const leaves = createLeaves(counting, { own: ['localhost'], presented: (name) => name === 'registry.example' });
  for (const name of [
    'evil.example',
    'sub.registry.example',
    '',
    '.',
    '..',
    'registry.example..',
    'registry。example',
    'registry.example\0',
    `${'a'.repeat(64)}.registry.example`,
    `${'a.'.repeat(127)}example`,
    '127.0.0.1',
    '__proto__',
  ]) {
    t.is(leaves.secureContext(name), undefined, name);
  }
  t.is(issued, 1, 'only our own');
});

test('a presented name that the root does not cover gets nothing', async (t) => {
  const leaves = createLeaves(await temporaryRoot(t), { own: ['localhost'], presented: () => true });
  t.is(leaves.secureContext('uncovered.example'), undefined);
});

test('an own name that the root does not cover is left out, because it would spoil the certificate', async (t) => {
  const root = await temporaryRoot(t, '192.0.2.1');
  const leaves = createLeaves(root, { own: ['renamed.lan', 'localhost', '198.51.100.9'], presented });
  t.is(certificateOf(leaves.own().cert).subjectAltName, 'DNS:localhost');
  t.is(leaves.secureContext('renamed.lan'), undefined);
  t.throws(() => createLeaves(root, { own: ['renamed.lan'], presented }), { message: /covers none of our own names/ });
});

test('certificates are used for 60 days and renewed 30 days before they end', async (t) => {
  let now = Date.now();
  const leaves = createLeaves(await temporaryRoot(t), { own: ['localhost'], presented, now: () => now });
  const own = leaves.own();
  const context = leaves.secureContext('registry.example');
  now += 58 * day;
  t.is(leaves.own(), own);
  t.is(leaves.secureContext('registry.example'), context);
  now += 2 * day;
  const renewed = leaves.own();
  t.not(renewed, own);
  t.not(leaves.secureContext('registry.example'), context);
  t.is(certificateOf(renewed.cert).validToDate.getTime(), Math.floor(now / 1000) * 1000 + 89 * day);
  t.is(renewed.key, own.key, 'the key lives as long as the process');
  t.is(leaves.own(), renewed);
});

test('a clock that jumps either way meets a certificate that is valid there', async (t) => {
  const start = Date.now();
  let now = start;
  const leaves = createLeaves(await temporaryRoot(t), { own: ['localhost'], presented, now: () => now });
  for (const jump of [400, -1, 2, -500, 0, 3000, 1]) {
    now = start + jump * day;
    const { validFromDate, validToDate } = certificateOf(leaves.own().cert);
    t.true(validFromDate.getTime() <= now && now < validToDate.getTime(), `${jump} days`);
  }
});

test('when the root is about to end, its last certificates are kept and not made for every connection', async (t) => {
  const root = await temporaryRoot(t);
  const now = root.notAfter.getTime() - 10 * day;
  const leaves = createLeaves(root, { own: ['localhost'], presented, now: () => now });
  t.is(leaves.own(), leaves.own());
  t.is(leaves.secureContext('registry.example'), leaves.secureContext('registry.example'));
});

test('contexts are bounded, and the one unused for longest goes first', async (t) => {
  const leaves = createLeaves(await temporaryRoot(t), { own: ['localhost'], presented });
  const own = leaves.own();
  const first = leaves.secureContext('first.registry.example');
  const second = leaves.secureContext('second.registry.example');
  for (let index = 0; index < 254; index++) leaves.secureContext(`n${index}.registry.example`);
  t.is(leaves.secureContext('first.registry.example'), first, 'all 256 are held');
  leaves.secureContext('one-more.registry.example');
  t.is(leaves.secureContext('first.registry.example'), first);
  t.not(leaves.secureContext('second.registry.example'), second);
  t.is(leaves.own(), own);
});
