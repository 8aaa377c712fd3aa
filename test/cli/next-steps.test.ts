import test from 'ava';
import { nextSteps, outsideAddress, type Start } from '../../src/cli/next-steps.ts';

const FINGERPRINT = 'AA:BB';
const START: Start = {
  program: 'layover',
  file: undefined,
  local: 'localhost',
  port: 5000,
  outside: { host: '192.0.2.10' },
  page: 'http://192.0.2.10:5000/',
  image: 'docker.io/library/alpine',
  fingerprint: FINGERPRINT,
};

/** The lines that can be pasted. */
function commands(start: Start): string[] {
  return nextSteps(start)
    .split('\n')
    .filter((line) => line.startsWith('  '))
    .map((line) => line.slice(2));
}

test('a person who has started a gateway is given whole lines to paste', (t) => {
  t.deepEqual(commands(START), [
    'docker pull localhost:5000/docker.io/library/alpine',
    'sudo layover setup docker',
    `curl -fsS http://192.0.2.10:5000/setup.sh | sudo sh -s -- --fingerprint ${FINGERPRINT} docker`,
    'http://192.0.2.10:5000/',
    'layover doctor',
  ]);
});

test('commands of this machine name the configuration that was named at the start', (t) => {
  const named = commands({ ...START, file: '/srv/my gateway.yaml' });
  t.is(named[1], "sudo layover setup docker --config '/srv/my gateway.yaml'");
  t.is(named[4], "layover doctor --config '/srv/my gateway.yaml'");
});

test('who can be reached by nobody else, or has no page, says nothing about it', (t) => {
  const alone = nextSteps({ ...START, outside: undefined, page: undefined });
  t.false(alone.includes('another machine') || alone.includes('http://'));
});

test('where the address is unknown a word stands for it, and is explained', (t) => {
  const text = nextSteps({ ...START, outside: 'unknown' });
  t.regex(text, /another machine \(GATEWAY: .*\n {2}curl -fsS http:\/\/GATEWAY:5000\/setup\.sh /);
});

test('an IPv6 address stands in brackets', (t) => {
  const text = nextSteps({ ...START, local: '2001:db8::1', outside: { host: '2001:db8::1' } });
  t.true(text.includes('docker pull [2001:db8::1]:5000/') && text.includes('http://[2001:db8::1]:5000/setup.sh'));
});

test('other machines reach this one by an address of a real network, IPv4 first', (t) => {
  const own = (address: string, internal = false) => ({
    address,
    internal,
    family: address.includes(':') ? ('IPv6' as const) : ('IPv4' as const),
    netmask: '',
    mac: '',
    cidr: null,
    ...(address.includes(':') && { scopeid: 0 }),
  });
  const table = {
    lo: [own('127.0.0.1', true)],
    docker0: [own('172.17.0.1')],
    eth0: [own('fe80::1'), own('2001:db8::1'), own('169.254.1.1'), own('192.0.2.10')],
  } as Parameters<typeof outsideAddress>[0];
  t.is(outsideAddress(table), '192.0.2.10');
  t.is(outsideAddress({ ...table, eth0: table.eth0?.slice(0, 3) }), '2001:db8::1');
  t.is(outsideAddress({ ...table, eth0: [] }), undefined);
});
