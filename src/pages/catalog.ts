import { setImmediate, setTimeout as sleep } from 'node:timers/promises';
import type { CatalogEntry } from '../index/catalog.ts';

/** A page of what is cached, as far as everybody may know of it. */
export interface CatalogPage {
  /** `reading`: not known yet, look again in a moment. */
  readonly state: 'known' | 'reading';
  /** What was searched for. */
  readonly query: string;
  /** From 1. */
  readonly page: number;
  readonly pages: number;
  /** Repositories that were found, on all pages. */
  readonly found: number;
  readonly repositories: readonly CatalogEntry[];
}

export interface Search {
  readonly query: string;
  readonly page: number;
}

const PAGE = 50;
/** Repositories that are looked at, those used last. */
const MOST = 20_000;
const WIDTH = 32;
/** Milliseconds for which what was found out is good enough, and is kept when nobody looks any more. */
const FRESH = 2_000;
const KEPT = 60_000;
/** Milliseconds that who looks first waits. */
const PATIENCE = 1_000;

interface Listing {
  readonly made: number;
  readonly entries: readonly CatalogEntry[];
  /** In byte order. */
  readonly names: readonly string[];
}

/** What a query asks for: `q` is a part of names, `page` a number from 1. */
export function searchOf(query: URLSearchParams): Search {
  const page = Number.parseInt(query.get('page') ?? '', 10);
  return { query: (query.get('q') ?? '').trim().slice(0, 100), page: page > 0 ? page : 1 };
}

/**
 * What is cached, for everybody to see. Who may know of what is found out for all repositories behind the readers' backs,
 * while there are any, and once more for those that are shown.
 */
export class Catalog implements Disposable {
  readonly #read: (limit: number) => Promise<readonly CatalogEntry[] | undefined>;
  readonly #mayShow: (repository: string) => Promise<boolean>;
  #listing: Listing | undefined;
  #making: Promise<Listing | undefined> | undefined;
  #forgetting: NodeJS.Timeout | undefined;

  /** `read`: what is here, latest use first; `mayShow`: whether everybody may know of a repository (namespaced). */
  constructor(
    read: (limit: number) => Promise<readonly CatalogEntry[] | undefined>,
    mayShow: (repository: string) => Promise<boolean>,
  ) {
    this.#read = read;
    this.#mayShow = mayShow;
  }

  async find({ query, page }: Search): Promise<CatalogPage> {
    const listing = await this.#current();
    if (listing === undefined) return { state: 'reading', query, page: 1, pages: 1, found: 0, repositories: [] };
    const wanted = query.toLowerCase();
    const found = listing.entries.filter(({ repository }) => repository.includes(wanted));
    const pages = Math.max(1, Math.ceil(found.length / PAGE));
    const shown = Math.min(page, pages);
    const repositories = await this.#shown(found.slice((shown - 1) * PAGE, shown * PAGE));
    return { state: 'known', query, page: shown, pages, found: found.length, repositories };
  }

  /** Up to `limit` names in byte order that sort after `after`; none while it is not known yet what is here. */
  async names(limit: number, after = ''): Promise<readonly string[]> {
    const known = await this.#current();
    const listing = known === undefined ? undefined : await (this.#making ?? known);
    return (listing?.names ?? []).filter((name) => name > after).slice(0, limit);
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#forgetting);
  }

  async #current(): Promise<Listing | undefined> {
    clearTimeout(this.#forgetting);
    this.#forgetting = setTimeout(() => {
      this.#listing = undefined;
    }, KEPT).unref();
    if (this.#listing !== undefined && performance.now() - this.#listing.made < FRESH) return this.#listing;
    this.#making ??= this.#make().finally(() => {
      this.#making = undefined;
    });
    // Who has an older one does not wait for it.
    this.#making.catch(() => undefined);
    return this.#listing ?? (await Promise.race([this.#making, sleep(PATIENCE, undefined)]));
  }

  async #make(): Promise<Listing | undefined> {
    const all = await this.#read(MOST);
    if (all === undefined) return undefined;
    const entries = await this.#shown(all);
    this.#listing = { entries, names: entries.map(({ repository }) => repository).sort(), made: performance.now() };
    return this.#listing;
  }

  async #shown(entries: readonly CatalogEntry[]): Promise<readonly CatalogEntry[]> {
    const shown: CatalogEntry[] = [];
    for (let at = 0; at < entries.length; at += WIDTH) {
      const some = entries.slice(at, at + WIDTH);
      const may = await Promise.all(some.map(({ repository }) => this.#mayShow(repository)));
      shown.push(...some.filter((_, index) => may[index]));
      // Pulls come first.
      if (entries.length > PAGE) await setImmediate();
    }
    return shown;
  }
}
