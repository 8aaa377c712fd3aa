import { generateKeyPairSync, X509Certificate } from 'node:crypto';
import test from 'ava';
import { type ClockFacts, judgeClock } from '../../src/doctor/clock.ts';
import { spanOf } from '../../src/doctor/trust-probe.ts';
import { rootCertificate } from '../../src/tls/profile.ts';
import { said } from './findings.ts';

const NOW = Date.UTC(2026, 10, 21);
const DAY = 24 * 60 * 60 * 1000;

function judged(facts: Partial<ClockFacts>): readonly string[] {
  return said(judgeClock({ now: NOW, ahead: [], roots: [], ...facts }));
}

function rootOf(made: number): X509Certificate {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'prime256v1' });
  return new X509Certificate(rootCertificate(privateKey, { dns: ['ghcr.io'], ips: [] }, made));
}

test('a clock that agrees with others within seconds is right', (t) => {
  const ahead = [{ of: 'ghcr.io', milliseconds: -1_000 }];
  t.deepEqual(judged({ ahead }), ['ok: the clock is right (by ghcr.io)']);
  t.deepEqual(judged({}), ['ok: nobody told the time: the clock was not compared']);
});

test('a clock that is wrong is a warning at first and then a problem', (t) => {
  const ahead = (milliseconds: number) => [{ of: 'ghcr.io', milliseconds }];
  t.deepEqual(judged({ ahead: ahead(60_000) }), ['warning: the clock is 60 s ahead (by ghcr.io)']);
  t.deepEqual(judged({ ahead: ahead(-600_000) }), ['problem: the clock is 600 s behind (by ghcr.io)']);
});

test('one registry whose own clock is wrong does not make ours wrong', (t) => {
  const ahead = [
    { of: 'wrong.example', milliseconds: 900_000 },
    { of: 'quay.io', milliseconds: 200 },
    { of: 'ghcr.io', milliseconds: 100 },
  ];
  t.deepEqual(judged({ ahead }), ['ok: the clock is right (by quay.io)']);
});

test('a root that begins in the future says that the clock is behind', (t) => {
  const [later, now] = [rootOf(NOW + 3 * DAY), rootOf(NOW)].map(spanOf);
  t.deepEqual(judged({ roots: later ? [later] : [] }), [
    'problem: the root CA begins on 2026-11-23, and it is 2026-11-21 here',
    'ok: nobody told the time: the clock was not compared',
  ]);
  t.is(judged({ roots: now ? [now] : [] }).length, 1);
});
