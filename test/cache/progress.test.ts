import test from 'ava';
import fc from 'fast-check';
import { formatProgress, type Progress, parseProgress } from '../../src/cache/progress.ts';

const count = fc.maxSafeNat();
const progresses: fc.Arbitrary<Progress> = fc.record({
  generation: fc.nat(10),
  size: count,
  base: count,
  prefix: count,
  state: fc.constantFrom('filling' as const, 'verified' as const, 'detached' as const),
});

test('what is noted is read as it is', (t) => {
  fc.assert(fc.property(progresses, (progress) => t.deepEqual(parseProgress(formatProgress(progress)), progress)));
});

test('a note that is read while another one is written over it is one of the two, or none', (t) => {
  const cut = fc.nat(80);
  fc.assert(
    fc.property(progresses, progresses, cut, (before, after, at) => {
      const torn = Buffer.from(formatProgress(before));
      torn.set(formatProgress(after).subarray(0, at));
      const read = parseProgress(torn);
      const whole = [undefined, before, after].map((progress) => JSON.stringify(progress));
      t.true(whole.includes(JSON.stringify(read)));
    }),
  );
});

test('what is no note is none', (t) => {
  for (const bytes of [undefined, new Uint8Array(0), new Uint8Array(79), new Uint8Array(80).fill(255)]) {
    t.is(parseProgress(bytes), undefined);
  }
});
