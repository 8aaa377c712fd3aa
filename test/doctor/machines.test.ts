import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { runApart } from './apart.ts';
import { said } from './findings.ts';
import type { Outcome } from './scene.ts';

/** What the doctor says on machines that are broken on purpose, each once. */
let outcomes: Readonly<Record<string, Outcome>> | undefined;

test.before(async (t) => {
  t.timeout(300_000);
  outcomes = await runApart(join(import.meta.dirname, 'machines.ts'), ['faketime', 'strace', 'setpriv']);
});

/** What a check said on a machine, and the exit code; skips where no such machine can be had. */
function of(t: ExecutionContext, machine: string, check: string): readonly string[] {
  if (outcomes === undefined) {
    t.log('skipped: networks and mounts of our own need root, unshare, ip, faketime, strace and setpriv');
    return [];
  }
  return said(outcomes[machine]?.findings.filter((finding) => finding.check === check) ?? []);
}

/** That `check` says this on the broken machine, and says nothing but that all is well on another one. */
function sees(title: string, broken: string, check: string, expected: RegExp, well: string): void {
  test(title, (t) => {
    const found = of(t, broken, check);
    if (outcomes === undefined) return t.pass();
    t.true(
      found.some((line) => expected.test(line)),
      `${broken}: ${found.join('\n')}`,
    );
    t.is(outcomes[broken]?.code, outcomes[broken]?.findings.some(({ status }) => status === 'problem') ? 1 : 0);
    const right = of(t, well, check);
    t.true(right.length > 0 && right.every((line) => !expected.test(line)), `${well}: ${right.join('\n')}`);
    return undefined;
  });
}

test('on a client where everything is right, nothing is found', (t) => {
  if (outcomes === undefined) return t.pass();
  t.is(outcomes.right?.code, 0);
  t.deepEqual([...new Set(outcomes.right?.findings.map(({ status }) => status))], ['ok']);
  t.deepEqual(
    [...new Set(outcomes.right?.findings.map(({ check }) => check))],
    ['gateway', 'names', 'trust', 'clients', 'clock'],
  );
  t.regex(of(t, 'right', 'trust')[0] ?? '', /the right root CA is in .*; names shown a trusted certificate: 11$/);
  return undefined;
});

sees(
  'a real IPv6 address beside the override is found',
  'another address by IPv6',
  'names',
  /^(?:warning|problem): ghcr\.io \(2001:db8::1\): the registry's own IPv6 address/,
  'right',
);
sees(
  'a hosts file that leaves names of a registry out is found',
  'a name left out',
  'names',
  /^problem: auth\.docker\.io, index\.docker\.io: not led to the gateway/,
  'right',
);
sees(
  'a machine that nothing leads to the gateway is found',
  'nothing leads there',
  'names',
  /^problem: no registry's name leads to gateway\.lan/,
  'a mirror',
);
sees(
  'a gateway that no name server knows is found',
  'an unknown gateway',
  'names',
  /^problem: nowhere\.lan has no address/,
  'right',
);
sees(
  'an old root in the bundle is found',
  'an old root',
  'trust',
  /^problem: \/etc\/ssl\/certs\/ca-certificates\.crt trusts another root CA/,
  'right',
);
sees(
  'handshakes that fail for want of the right root are found',
  'an old root',
  'trust',
  /^problem: this machine does not trust what the gateway shows for .* and 7 more/,
  'right',
);
sees(
  'a clock that is ahead is found',
  'a clock that is ahead',
  'clock',
  /^problem: the clock is 3[56]\d\d s ahead \(by gateway\.lan:5000\)/,
  'right',
);
sees(
  'a daemon that was started before its machine trusted the root is found',
  'a daemon from before',
  'clients',
  /^warning: dockerd has been running since before \/etc\/ssl\/certs\/ca-certificates\.crt was changed/,
  'right',
);
sees(
  'a gateway that does not answer is found',
  'a client without its gateway',
  'gateway',
  /^problem: no gateway answers at http:\/\/127\.0\.0\.1:5000: ECONNREFUSED/,
  'right',
);
sees(
  'a gateway whose own name servers lead it to itself is found',
  'a gateway in a circle',
  'upstreams',
  /^problem: leading back to this gateway \(127\.0\.0\.1\): docker\.io, .* and 4 more/,
  'few files',
);
sees(
  'registries that no name server knows are found',
  'a gateway in a container, without registries',
  'upstreams',
  /^problem: not resolved by the name servers \(ENOTFOUND\): docker\.io/,
  'a gateway in a circle',
);
sees(
  'a network without a way out is found',
  'few files',
  'upstreams',
  /^problem: not reached \(ENETUNREACH\): docker\.io/,
  'a gateway in a circle',
);
sees(
  'an own name that leads to another machine is found',
  'a gateway in a container, without registries',
  'names',
  /^problem: gateway\.lan, one of names, leads to 198\.51\.100\.1/,
  'a gateway in a circle',
);
sees(
  'a gateway in a container whose image comes through itself is found',
  'a gateway in a container, without registries',
  'container',
  /^warning: the gateway is a container/,
  'a gateway in a circle',
);
sees(
  'a gateway that does not run is found',
  'few files',
  'gateway',
  /^warning: no gateway answers at http:\/\/127\.0\.0\.1:9464/,
  'a gateway in a circle',
);
sees(
  'a port that the user may not have is found',
  'a user without rights',
  'ports',
  /^problem: this user may not listen on port 443/,
  'few files',
);

const DISKS: Readonly<Record<string, RegExp>> = {
  'storage in memory': /^warning: .*\/memory lies in memory/,
  'storage that is locked': /^problem: .*\/locked cannot be written by \S+: EROFS/,
  'a spool apart': /^problem: .* cache and spool lie on two file systems/,
  'few files': /^warning: 1024 files and connections may be open/,
  'no hard links': /^problem: .* the file system has no hard links/,
  'a user without rights': /^problem: .* cannot be written by \S+: EACCES/,
};
for (const [machine, expected] of Object.entries(DISKS))
  sees(`storage is found to be wrong: ${machine}`, machine, 'storage', expected, 'a gateway in a circle');

sees(
  'a disk that has fewer bytes and files than the cache is to have is found',
  'storage in memory',
  'storage',
  /^warning: storage\.size is 50\.0 GB, and the file system of .* has 0\.1 GB/,
  'few files',
);

test('the ports of a running gateway are known for its own', (t) => {
  const found = of(t, 'a gateway in a circle', 'ports');
  if (outcomes !== undefined)
    t.deepEqual(
      found,
      [443, 5000, 9464].map((port) => `ok: the gateway answers on port ${port}`),
    );
  t.pass();
});
