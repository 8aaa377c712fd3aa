import type { Catalog } from './catalog.ts';
import { Counted } from './counted.ts';
import { type Fetch, shownFetches } from './fetches.ts';
import { countedStatus, type Status } from './status.ts';

/** Whom to ask how the gateway stands. */
export interface Sources {
  readonly isReady: () => boolean;
  readonly warnings: () => readonly string[];
  /** How many processes serve; absent where one serves alone. */
  readonly processes?: (() => Promise<number>) | undefined;
  /** What was counted, by all processes together. */
  readonly figures: () => Promise<readonly object[]>;
  /** What the cache takes of what it may take: bytes. */
  readonly space: () => { readonly used: number; readonly limit: number };
  /** What is being fetched, by all processes together. */
  readonly fetches: () => Promise<readonly Fetch[]>;
  /** The names of the upstreams of the configuration. */
  readonly upstreams: () => readonly string[];
  /** Whether everybody may know of a repository (namespaced); never rejects. */
  readonly mayShow: (repository: string) => Promise<boolean>;
}

/** Milliseconds for which an answer is good enough for all who look. */
const FRESH = 1_000;

type Asked = readonly [counted: readonly object[], running: readonly Fetch[], processes: number | undefined];

/** What the pages show; nothing of it is found out while nobody looks. */
export class Overview {
  readonly catalog: Catalog;
  readonly #sources: Sources;
  #asked: Promise<Asked> | undefined;
  #when = Number.NEGATIVE_INFINITY;

  constructor(sources: Sources, catalog: Catalog) {
    this.#sources = sources;
    this.catalog = catalog;
  }

  /** As of at most a second ago, however many ask; what may be shown is found out each time. */
  async status(): Promise<Status> {
    const { isReady, warnings, space, upstreams, mayShow } = this.#sources;
    const [counted, running, processes] = await this.#ask();
    const { used, limit } = space();
    return {
      ready: isReady(),
      warnings: warnings(),
      ...(processes !== undefined && { processes }),
      ...countedStatus(new Counted(counted), upstreams(), Date.now()),
      store: { used, limit },
      fetches: await shownFetches(running, mayShow),
    };
  }

  #ask(): Promise<Asked> {
    if (this.#asked === undefined || performance.now() - this.#when > FRESH) {
      const { figures, fetches, processes } = this.#sources;
      this.#when = performance.now();
      this.#asked = Promise.all([figures(), fetches(), processes?.()]);
    }
    return this.#asked;
  }
}
