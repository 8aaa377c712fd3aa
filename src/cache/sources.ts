import { namespaced } from '../oci/route.ts';
import { UpstreamError } from '../upstream/contract.ts';
import { SourceRefused } from './fetcher.ts';
import { type Source, sameSource } from './source.ts';

/** Failures in a row without a byte after which a source is given up; with the pauses between them about 3 s. */
const ATTEMPTS = 5;

interface Entry {
  readonly source: Source;
  /** Readers whose own right to the blob this is. */
  followers: number;
  failures: number;
}

/** The sources of one fill, best first: whoever may read the blob brings one along. */
export class Sources {
  #entries: Entry[] = [];

  get best(): Source | undefined {
    return this.#entries[0]?.source;
  }

  get count(): number {
    return this.#entries.length;
  }

  add(source: Source): void {
    this.#entry(source);
  }

  join(source: Source): void {
    this.#entry(source).followers++;
  }

  /** What only a departed reader's credential opened is not used for others any more. */
  leave(source: Source): void {
    const entry = this.#find(source);
    if (entry === undefined) return;
    entry.followers--;
    if (entry.followers === 0 && source.identity.kind === 'forward') this.#drop(entry);
  }

  succeeded(source: Source): void {
    const entry = this.#find(source);
    if (entry !== undefined) entry.failures = 0;
  }

  /**
   * A source that failed goes to the end of the line; one that refuses, lies or keeps failing goes altogether.
   * Returns the milliseconds to wait before the next try.
   */
  failed(source: Source, error: Error, progressed: boolean): number {
    const entry = this.#find(source);
    if (entry === undefined) return 0;
    entry.failures = progressed ? 0 : entry.failures + 1;
    this.#drop(entry);
    const hopeless =
      error instanceof SourceRefused || (error instanceof UpstreamError && error.failure !== 'unreachable');
    if (!hopeless && entry.failures < ATTEMPTS) this.#entries.push(entry);
    return progressed || this.best !== source ? 0 : 100 * 2 ** entry.failures;
  }

  /** Drops every source of the upstream that `source` is at. */
  distrust(source: Source): void {
    this.#entries = this.#entries.filter((entry) => entry.source.upstream !== source.upstream);
  }

  #entry(source: Source): Entry {
    const found = this.#find(source);
    if (found !== undefined) return found;
    const entry = { source, followers: 0, failures: 0 };
    this.#entries.push(entry);
    return entry;
  }

  #find(source: Source): Entry | undefined {
    return this.#entries.find((entry) => sameSource(entry.source, source));
  }

  #drop(entry: Entry): void {
    this.#entries = this.#entries.filter((other) => other !== entry);
  }
}

/** What events tell of a source. */
export function originOf(source: Source | undefined): { readonly upstream: string; readonly repository: string } {
  return {
    upstream: source?.upstream.name ?? '',
    repository: source === undefined ? '' : namespaced(source.repository),
  };
}
