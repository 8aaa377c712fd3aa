import { hash, randomBytes } from 'node:crypto';
import type { Content } from '../test/support/content.ts';

const HEAD = 64;
const PERIOD = 4 << 20;
const LONGEST = 1 << 20;
const body = randomBytes(PERIOD);
/** A read of up to {@link LONGEST} bytes is one piece of it, wherever it begins. */
const wrapped = Buffer.concat([body, body.subarray(0, LONGEST)]);

/** Bytes that do not compress, told apart by their first ones: cheaper to read than to send, however large. */
export function seeded(seed: string, size: number): Content {
  const head = hash('sha512', seed, 'buffer').subarray(0, Math.min(HEAD, size));
  const after = (start: number, end: number): Buffer => {
    if (end - start > LONGEST) throw new RangeError('read it in pieces');
    return wrapped.subarray(start % PERIOD, (start % PERIOD) + end - start);
  };
  return {
    size,
    read(start, end) {
      if (start >= head.length) return after(start, end);
      return Buffer.concat([head.subarray(start, end), after(Math.min(head.length, end), end)]);
    },
  };
}
