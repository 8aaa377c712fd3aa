const PER_DOUBLING = 8;
const SMALLEST = 0.1;
const BUCKETS = 26 * PER_DOUBLING;

/** Times in milliseconds, kept as counts of fixed ranges: a percentile is at most a tenth too high. */
export class Histogram {
  readonly #counts = new Float64Array(BUCKETS);
  #all = 0;

  add(time: number): void {
    const bucket = Math.ceil(Math.log2(Math.max(time, SMALLEST) / SMALLEST) * PER_DOUBLING);
    const at = Math.min(bucket, BUCKETS - 1);
    this.#counts[at] = (this.#counts[at] ?? 0) + 1;
    this.#all++;
  }

  /** The time within which the share (0 to 1) of all was done; undefined where there was none. */
  percentile(share: number): number | undefined {
    if (this.#all === 0) return undefined;
    let seen = 0;
    const bucket = this.#counts.findIndex((counted) => {
      seen += counted;
      return seen >= share * this.#all;
    });
    return SMALLEST * 2 ** (bucket / PER_DOUBLING);
  }
}
