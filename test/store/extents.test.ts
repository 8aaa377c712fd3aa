import test from 'ava';
import fc from 'fast-check';
import { Extents } from '../../src/store/extents.ts';

const SIZE = 64;
const range = fc.tuple(fc.nat(SIZE), fc.nat(SIZE)).map(([a, b]) => ({ start: Math.min(a, b), end: Math.max(a, b) }));
const ranges = fc.array(range, { maxLength: 12 });

const extentsOf = (added: readonly { start: number; end: number }[]): Extents =>
  added.reduce((extents, one) => extents.add(one), Extents.NONE);

const bitmapOf = (added: readonly { start: number; end: number }[]): boolean[] =>
  Array.from({ length: SIZE }, (_, at) => added.some(({ start, end }) => start <= at && at < end));

/** The runs of `value` in a bitmap. */
function runs(bits: readonly boolean[], value: boolean): { start: number; end: number }[] {
  const found: { start: number; end: number }[] = [];
  for (const [at, bit] of bits.entries()) {
    if (bit !== value) continue;
    const last = found.at(-1);
    if (last?.end === at) last.end = at + 1;
    else found.push({ start: at, end: at + 1 });
  }
  return found;
}

test('extents are the runs of what was added', (t) => {
  fc.assert(fc.property(ranges, (added) => void t.deepEqual(extentsOf(added).ranges, runs(bitmapOf(added), true))));
});

test('questions are answered as by a bitmap', (t) => {
  fc.assert(
    fc.property(ranges, range, (added, asked) => {
      const [extents, bits] = [extentsOf(added), bitmapOf(added)];
      const present = runs(bits, true);
      t.is(extents.has(asked), bits.slice(asked.start, asked.end).every(Boolean));
      t.is(extents.prefix(), bits[0] ? (present[0]?.end ?? 0) : 0);
      t.is(extents.bytes, bits.filter(Boolean).length);
      t.is(extents.end, bits.lastIndexOf(true) + 1);
      t.deepEqual(
        extents.next(asked.start),
        present.find(({ end }) => end > asked.start),
      );
      const holding = present.find(({ start, end }) => start <= asked.start && asked.start < end);
      t.is(extents.endOf(asked.start), holding?.end ?? asked.start);
      const inside = bits.map((bit, at) => bit || at < asked.start || at >= asked.end);
      t.deepEqual(extents.gaps(asked.end, asked.start), runs(inside, false));
      t.deepEqual(extents.clip(asked.end).ranges, runs(bits.slice(0, asked.end), true));
    }),
  );
});

test('adding changes no set that exists', (t) => {
  const before = Extents.NONE.add({ start: 2, end: 4 });
  before.add({ start: 0, end: 10 });
  t.deepEqual(before.toJSON(), [[2, 4]]);
});

test('extents survive JSON', (t) => {
  fc.assert(
    fc.property(ranges, (added) => {
      const extents = extentsOf(added);
      t.deepEqual(Extents.fromJSON(JSON.parse(JSON.stringify(extents)))?.ranges, extents.ranges);
    }),
  );
});

test('what is not a sorted list of separate ranges is refused', (t) => {
  const bad = [undefined, {}, 'x', [1], [[1]], [[1, 1]], [[2, 1]], [[-1, 2]], [[0, 1.5]], [[0, '1']], [[0, null]]];
  for (const json of [
    ...bad,
    [
      [0, 2],
      [1, 3],
    ],
    [
      [0, 2],
      [2, 3],
    ],
    [
      [4, 5],
      [0, 1],
    ],
    [[0, 1, 2]],
  ]) {
    t.is(Extents.fromJSON(json), undefined, JSON.stringify(json));
  }
});
