import test from 'ava';
import { cacheStatus } from '../../src/gateway/cache-status.ts';
import type { Outcome } from '../../src/registry/exchange.ts';

test('Cache-Status spells every outcome as RFC 9211 has it', (t) => {
  const cases: readonly (readonly [Outcome, string])[] = [
    [{ cache: 'hit', why: 'stored' }, 'Layover; hit'],
    [{ cache: 'stale', why: 'unreachable' }, 'Layover; hit; detail=stale'],
    [{ cache: 'revalidated', why: 'unchanged' }, 'Layover; fwd=stale; fwd-status=304'],
    [{ cache: 'miss', why: 'absent', stored: true }, 'Layover; fwd=uri-miss; stored'],
    [{ cache: 'miss', why: 'too large', stored: false }, 'Layover; fwd=uri-miss'],
    [{ cache: 'collapsed', why: 'joined' }, 'Layover; fwd=uri-miss; collapsed'],
    [{ cache: 'bypass', why: 'passed-through' }, 'Layover; fwd=bypass'],
    [{ cache: 'none', why: 'NAME_UNKNOWN' }, 'Layover; detail=NAME_UNKNOWN'],
    [{ cache: 'none', why: 'a "b", c\r\nd' }, 'Layover; detail=a-b-c-d'],
    [{ cache: 'none', why: '' }, 'Layover; detail=x-'],
  ];
  for (const [outcome, expected] of cases) t.is(cacheStatus(outcome), expected);
});
