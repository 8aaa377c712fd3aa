import test from 'ava';
import fc from 'fast-check';
import { contentRange, parseContentRange, parseRange, resolveRanges } from '../../src/oci/range.ts';

const RESOLVED: readonly [header: string, size: number, ranges: readonly string[] | undefined][] = [
  ['bytes=0-0', 10, ['0-1']],
  ['bytes=500-1499', 2000, ['500-1500']],
  ['bytes=500-', 2000, ['500-2000']],
  ['bytes=-500', 2000, ['1500-2000']],
  ['bytes=-5000', 2000, ['0-2000']],
  ['bytes=2000-5000', 3000, ['2000-3000']],
  ['bytes=5000-10000', 3000, []],
  ['bytes=500-0', 3000, []],
  ['bytes=-0', 3000, []],
  ['bytes=0-', 0, []],
  ['bytes=0-1, 4-5,-1', 10, ['0-2', '4-6', '9-10']],
  ['bytes=7-8,0-1', 10, ['7-9', '0-2']],
  ['bytes=0-1,90-91', 10, ['0-2']],
  ['Bytes = 1-2', 10, ['1-3']],
  ['bytes=', 10, undefined],
  ['bytes=a-b', 10, undefined],
  ['bytes=--1', 10, undefined],
  ['items=0-1', 10, undefined],
  ['bytes=0-1,x', 10, undefined],
];

for (const [header, size, expected] of RESOLVED) {
  test(`${header} of ${size} bytes is ${expected?.join(' and ') ?? 'ignored'}`, (t) => {
    const specs = parseRange(header);
    t.deepEqual(specs && resolveRanges(specs, size).map(({ start, end }) => `${start}-${end}`), expected?.slice());
  });
}

test('no header asks for no range, and too many ranges are ignored', (t) => {
  t.is(parseRange(undefined), undefined);
  t.is(parseRange(`bytes=${Array.from({ length: 1025 }, () => '0-1').join(',')}`), undefined);
});

test('a resolved range lies within the representation, is not empty, and survives its own header', (t) => {
  fc.assert(
    fc.property(fc.nat(5000), fc.nat(5000), fc.nat(5000), (first, last, size) => {
      for (const range of resolveRanges(parseRange(`bytes=${first}-${last},${first}-,-${last}`) ?? [], size)) {
        t.true(range.start >= 0 && range.start < range.end && range.end <= size);
        t.deepEqual(parseContentRange(contentRange(range, size)), { ...range, size });
      }
    }),
  );
});

for (const wrong of ['bytes 0-1/*', 'bytes 5-4/10', 'bytes 0-10/10', 'bytes */10', '0-1/2', '']) {
  test(`Content-Range "${wrong}" is not taken for a range`, (t) => {
    t.is(parseContentRange(wrong), undefined);
  });
}
