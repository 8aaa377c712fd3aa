import { type FillEvent, subscribe } from '../events.ts';

/** A blob on its way in. Bytes. */
export interface Fetch {
  readonly digest: string;
  /** Namespaced; empty where it is not known. */
  readonly repository: string;
  readonly size: number;
  readonly received: number;
}

/** What everybody may know of what is being fetched: sums of all, and by name what everybody may read. */
export interface FetchesShown {
  readonly running: number;
  readonly size: number;
  readonly received: number;
  /** At most 50. */
  readonly named: readonly Fetch[];
}

const MOST_NAMED = 50;

/** Follows what this process is fetching, until disposed of. */
export class Fetches implements Disposable {
  readonly #running = new Map<string, Fetch>();
  readonly #subscriptions: readonly (() => void)[];

  constructor() {
    this.#subscriptions = [
      subscribe('fill', (event) => this.#follow(event)),
      subscribe('received', ({ digest, bytes }) => {
        const fetch = this.#running.get(digest);
        if (fetch !== undefined) this.#running.set(digest, { ...fetch, received: bytes });
      }),
    ];
  }

  running(): readonly Fetch[] {
    return [...this.#running.values()];
  }

  [Symbol.dispose](): void {
    for (const unsubscribe of this.#subscriptions) unsubscribe();
  }

  #follow({ digest, repository, phase, size, bytes }: FillEvent): void {
    if (phase === 'started' || phase === 'resumed' || phase === 'switched') {
      const known = repository === '' ? (this.#running.get(digest)?.repository ?? '') : repository;
      this.#running.set(digest, { digest, repository: known, size, received: bytes });
    } else this.#running.delete(digest);
  }
}

/** The fetches of several processes; one that goes over from one to the other counts once. */
export function together(all: readonly (readonly Fetch[])[]): readonly Fetch[] {
  const found = new Map<string, Fetch>();
  for (const fetch of all.flat()) {
    const other = found.get(fetch.digest);
    if (other === undefined || other.received < fetch.received) found.set(fetch.digest, fetch);
  }
  return [...found.values()];
}

/** `mayShow`: whether everybody may know of a repository. */
export async function shownFetches(
  fetches: readonly Fetch[],
  mayShow: (repository: string) => Promise<boolean>,
): Promise<FetchesShown> {
  const named: Fetch[] = [];
  for (const fetch of fetches) {
    if (named.length < MOST_NAMED && (await mayShow(fetch.repository))) named.push(fetch);
  }
  const sum = (key: 'size' | 'received'): number => fetches.reduce((all, fetch) => all + fetch[key], 0);
  return { running: fetches.length, size: sum('size'), received: sum('received'), named };
}
