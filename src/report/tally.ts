import type { CacheResult } from '../events.ts';
import type { Entry } from './entry.ts';

/** What some requests come to. */
export interface Counts {
  requests: number;
  /** Answered without fetching for it: hit, revalidated, stale, collapsed. */
  hits: number;
  misses: number;
  /** What the cache stayed out of. */
  bypasses: number;
  /** Answers of 500 and above. */
  failures: number;
  /** Of the bodies, as sent to clients. */
  bytes: number;
  /** Those of them that belong to hits. */
  saved: number;
}

export interface Row extends Counts {
  readonly name: string;
}

const HITS: ReadonlySet<CacheResult> = new Set(['hit', 'revalidated', 'stale', 'collapsed']);

export const noCounts = (): Counts => ({
  requests: 0,
  hits: 0,
  misses: 0,
  bypasses: 0,
  failures: 0,
  bytes: 0,
  saved: 0,
});

export function isHit(cache: CacheResult): boolean {
  return HITS.has(cache);
}

export function count(counts: Counts, { cache, status, bytes }: Entry): void {
  counts.requests++;
  counts.bytes += bytes;
  if (isHit(cache)) {
    counts.hits++;
    counts.saved += bytes;
  } else if (cache === 'miss') counts.misses++;
  else if (cache === 'bypass') counts.bypasses++;
  if (status >= 500) counts.failures++;
}

export function addCounts(sum: Counts, counts: Counts): void {
  sum.requests += counts.requests;
  sum.hits += counts.hits;
  sum.misses += counts.misses;
  sum.bypasses += counts.bypasses;
  sum.failures += counts.failures;
  sum.bytes += counts.bytes;
  sum.saved += counts.saved;
}

/** The share of hits among the requests that concerned the cache, from 0 to 1; undefined where none did. */
export function hitRatio({ hits, misses, bypasses }: Counts): number | undefined {
  const all = hits + misses + bypasses;
  return all === 0 ? undefined : hits / all;
}

/** Counts by name. Whoever asks chooses the names, so there are at most twice `kept` of them; the rarest are put together. */
export class Tally {
  readonly #rows = new Map<string, Row>();
  readonly #kept: number;
  readonly #others = noCounts();

  constructor(kept = 10_000) {
    this.#kept = kept;
  }

  add(name: string, entry: Entry): void {
    let row = this.#rows.get(name);
    if (row === undefined) {
      if (this.#rows.size >= 2 * this.#kept) this.#fold();
      // A copy: a slice would keep the whole block that it was cut from in memory. In UTF-16, which keeps what is no text.
      row = { name: Buffer.from(name, 'utf16le').toString('utf16le'), ...noCounts() };
      this.#rows.set(row.name, row);
    }
    count(row, entry);
  }

  rows(): readonly Row[] {
    return [...this.#rows.values()];
  }

  /** What the names came to that were too rare to be kept apart. */
  others(): Counts {
    return this.#others;
  }

  #fold(): void {
    const rarest = this.rows()
      .toSorted((a, b) => b.requests - a.requests)
      .slice(this.#kept);
    for (const row of rarest) {
      addCounts(this.#others, row);
      this.#rows.delete(row.name);
    }
  }
}
