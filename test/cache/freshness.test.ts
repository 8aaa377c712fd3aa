import test from 'ava';
import { decide, type Freshness } from '../../src/cache/freshness.ts';

const NOW = 1_800_000_000_000;
const DAY = 24 * 3_600_000;

const TABLE: readonly [
  what: string,
  age: number | undefined,
  ttl: number,
  staleOnError: number,
  expected: Freshness,
][] = [
  ['never asked', undefined, DAY, DAY, 'unusable'],
  ['asked just now, no lifetime', 0, 0, DAY, 'fresh'],
  ['asked within the same second, no lifetime', 999, 0, DAY, 'fresh'],
  ['asked within the same second, nothing may be stale', 999, 0, 0, 'fresh'],
  ['asked a second ago, no lifetime', 1000, 0, DAY, 'stale'],
  ['asked a second ago, nothing may be stale', 1000, 0, 0, 'unusable'],
  ['given, younger than its lifetime', 59_999, 60_000, DAY, 'fresh'],
  ['given, as old as its lifetime', 60_000, 60_000, DAY, 'stale'],
  ['asked within the same second, a lifetime of less', 500, 10, DAY, 'fresh'],
  ['given, just young enough to be stale', DAY - 1, 0, DAY, 'stale'],
  ['given, too old to be stale', DAY, 0, DAY, 'unusable'],
  ['given with a lifetime longer than what may be stale', DAY + 1, 2 * DAY, DAY, 'fresh'],
  ['asked before the clock went back by a moment', -1, DAY, DAY, 'stale'],
  ['asked before the clock went back by years', -1000 * DAY, DAY, DAY, 'stale'],
  ['asked before the clock went back, nothing may be stale', -1, DAY, 0, 'unusable'],
];

for (const [what, age, ttl, staleOnError, expected] of TABLE) {
  test(`an answer that was ${what} is ${expected}`, (t) => {
    t.is(decide(age === undefined ? undefined : NOW - age, NOW, { ttl, staleOnError }), expected);
  });
}
