import type { ByteRange } from '../oci/range.ts';
import { isCount } from './json.ts';

/** An immutable set of byte positions as half-open ranges: sorted, never empty, never touching each other. */
export class Extents {
  static readonly NONE = new Extents([]);

  readonly ranges: readonly ByteRange[];

  private constructor(ranges: readonly ByteRange[]) {
    this.ranges = ranges;
  }

  /** Reads what {@link toJSON} made; `undefined` for anything else. */
  static fromJSON(json: unknown): Extents | undefined {
    if (!Array.isArray(json)) return undefined;
    const ranges: ByteRange[] = [];
    let least = 0;
    for (const pair of json as unknown[]) {
      if (!Array.isArray(pair) || pair.length !== 2) return undefined;
      const [start, end] = pair as unknown[];
      if (!isCount(start) || !isCount(end) || start < least || start >= end) return undefined;
      ranges.push({ start, end });
      least = end + 1;
    }
    return new Extents(ranges);
  }

  toJSON(): [start: number, end: number][] {
    return this.ranges.map(({ start, end }) => [start, end]);
  }

  /** How many bytes there are in all. */
  get bytes(): number {
    return this.ranges.reduce((sum, { start, end }) => sum + end - start, 0);
  }

  /** The end of the last extent; 0 when there is none. */
  get end(): number {
    return this.ranges.at(-1)?.end ?? 0;
  }

  add({ start, end }: ByteRange): Extents {
    if (start >= end) return this;
    const first = this.#indexOf(start - 1);
    let last = first;
    let merged: ByteRange = { start, end };
    for (let range = this.ranges[last]; range !== undefined && range.start <= end; range = this.ranges[last]) {
      merged = { start: Math.min(merged.start, range.start), end: Math.max(merged.end, range.end) };
      last += 1;
    }
    return new Extents([...this.ranges.slice(0, first), merged, ...this.ranges.slice(last)]);
  }

  /** Whether every position of the range is there. */
  has({ start, end }: ByteRange): boolean {
    const range = this.next(start);
    return start >= end || (range !== undefined && range.start <= start && end <= range.end);
  }

  /** The end of the run from position 0; 0 when there is none. */
  prefix(): number {
    const first = this.ranges[0];
    return first?.start === 0 ? first.end : 0;
  }

  /** The whole extent that contains `position`, or else the first one that begins after it. */
  next(position: number): ByteRange | undefined {
    return this.ranges[this.#indexOf(position)];
  }

  /** The end of the extent that contains `position`; `position` itself when none does. */
  endOf(position: number): number {
    const range = this.next(position);
    return range !== undefined && range.start <= position ? range.end : position;
  }

  /** What is missing between `start` and `end`, in order. */
  gaps(end: number, start = 0): readonly ByteRange[] {
    const gaps: ByteRange[] = [];
    let at = start;
    for (let index = this.#indexOf(start); at < end; index += 1) {
      const range = this.ranges[index];
      const stop = Math.min(end, range?.start ?? end);
      if (at < stop) gaps.push({ start: at, end: stop });
      if (range === undefined) break;
      at = range.end;
    }
    return gaps;
  }

  /** The part below `size`. */
  clip(size: number): Extents {
    const below = this.ranges.filter(({ start }) => start < size);
    return new Extents(below.map(({ start, end }) => ({ start, end: Math.min(end, size) })));
  }

  /** The index of the first range that ends after `position`. */
  #indexOf(position: number): number {
    let low = 0;
    let high = this.ranges.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.ranges[middle]?.end ?? 0) > position) high = middle;
      else low = middle + 1;
    }
    return low;
  }
}
