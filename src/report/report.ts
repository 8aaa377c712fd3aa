import type { CacheResult } from '../events.ts';
import type { Entry, Unreadable } from './entry.ts';
import { Histogram } from './histogram.ts';
import { addCounts, type Counts, count, isHit, noCounts, type Row, Tally } from './tally.ts';

/** What a report is cut by: time, or one of the tables, which is then whole. */
export const CUTS = ['hour', 'day', 'upstream', 'image', 'client', 'why'] as const;
export type Cut = (typeof CUTS)[number];

export interface Table {
  readonly rows: readonly Row[];
  /** What is left out, put together. */
  readonly others: Counts;
}

export interface Percentiles {
  readonly of: 'hits' | 'misses';
  /** Milliseconds to the first byte. */
  readonly p50: number;
  readonly p90: number;
  readonly p99: number;
}

export interface Reason {
  readonly cache: CacheResult;
  /** Absent in nginx's format, which says no more than `cache`. */
  readonly why?: string;
  readonly requests: number;
  /** Answers of 500 and above. */
  readonly failures: number;
  readonly bytes: number;
}

export interface Pull {
  readonly time: string;
  readonly image: string;
  readonly reference?: string;
  readonly client: string;
  readonly cache: CacheResult;
  readonly why?: string;
  readonly bytes: number;
  /** Milliseconds. */
  readonly total: number;
}

export interface Unread {
  readonly what: Unreadable;
  readonly lines: number;
  /** Where the first ones stand: `file:line`. */
  readonly at: readonly string[];
}

export interface Report {
  readonly files: readonly string[];
  /** Lines looked at, empty ones aside, and those among them that are older than asked for. */
  readonly lines: number;
  readonly older: number;
  readonly unread: readonly Unread[];
  /** Of the first and the last request, ISO 8601; absent when there was none. */
  readonly from?: string;
  readonly to?: string;
  readonly totals: Counts;
  readonly span: 'hour' | 'day';
  /** Named by their start, ISO 8601: hours in UTC, days in the zone of this machine. */
  readonly times: readonly Row[];
  readonly reasons: readonly Reason[];
  readonly percentiles: readonly Percentiles[];
  readonly upstreams: Table;
  readonly images: Table;
  readonly clients: Table;
  readonly slowest: readonly Pull[];
}

const HOUR = 3_600_000;
const TOP = 10;
const EXAMPLES = 3;
/** Beyond this many hours a report goes by days. */
const HOURS_SHOWN = 72;

/** Takes entries one by one and keeps sums of them only: its size does not depend on how many there are. */
export class Account {
  readonly #since: number;
  readonly #totals = noCounts();
  readonly #hours = new Tally(50_000);
  readonly #upstreams = new Tally();
  readonly #images = new Tally();
  readonly #clients = new Tally();
  readonly #reasons = new Tally(1000);
  readonly #firstByte = { hits: new Histogram(), misses: new Histogram() };
  readonly #unread = new Map<Unreadable, { what: Unreadable; lines: number; at: string[] }>();
  #slowest: (Entry & { readonly total: number; readonly image: string })[] = [];
  #lines = 0;
  #older = 0;
  #first = Number.POSITIVE_INFINITY;
  #last = Number.NEGATIVE_INFINITY;

  /** `since`: milliseconds since 1970; what ended before it is not counted. */
  constructor(since = Number.NEGATIVE_INFINITY) {
    this.#since = since;
  }

  /** `at` is asked for the first few only. */
  addUnread(what: Unreadable, at: () => string): void {
    const unread = this.#unread.get(what) ?? { what, lines: 0, at: [] };
    unread.lines++;
    if (unread.at.length < EXAMPLES) unread.at.push(at());
    this.#unread.set(what, unread);
    this.#lines++;
  }

  add(entry: Entry): void {
    this.#lines++;
    if (entry.time < this.#since) {
      this.#older++;
      return;
    }
    const { time, cache, why, upstream, image, firstByte } = entry;
    this.#first = Math.min(this.#first, time);
    this.#last = Math.max(this.#last, time);
    count(this.#totals, entry);
    this.#hours.add(String(Math.floor(time / HOUR)), entry);
    this.#clients.add(entry.client, entry);
    this.#reasons.add(why === undefined ? cache : `${cache} ${why}`, entry);
    if (upstream !== undefined) this.#upstreams.add(upstream, entry);
    if (image !== undefined) this.#images.add(image, entry);
    if (firstByte !== undefined && image !== undefined) {
      if (isHit(cache)) this.#firstByte.hits.add(firstByte);
      else if (cache === 'miss') this.#firstByte.misses.add(firstByte);
    }
    this.#addPull(entry);
  }

  #addPull(entry: Entry): void {
    const { method, image, total } = entry;
    if (method !== 'GET' || image === undefined || total === undefined) return;
    if (this.#slowest.length === TOP && total <= (this.#slowest.at(-1)?.total ?? 0)) return;
    const copy = structuredClone({ ...entry, image, total });
    this.#slowest = [...this.#slowest, copy].toSorted((a, b) => b.total - a.total).slice(0, TOP);
  }

  report(files: readonly string[], by?: Cut): Report {
    const hours = this.#hours.rows();
    const span = by === 'hour' || by === 'day' ? by : (this.#last - this.#first) / HOUR > HOURS_SHOWN ? 'day' : 'hour';
    return {
      files,
      lines: this.#lines,
      older: this.#older,
      unread: [...this.#unread.values()],
      ...(this.#totals.requests > 0 && { from: iso(this.#first), to: iso(this.#last) }),
      totals: this.#totals,
      span,
      times: span === 'hour' ? byHour(hours) : byDay(hours),
      reasons: reasonsOf(this.#reasons),
      percentiles: percentilesOf(this.#firstByte),
      upstreams: tableOf(this.#upstreams, by === 'upstream'),
      images: tableOf(this.#images, by === 'image'),
      clients: tableOf(this.#clients, by === 'client'),
      slowest: this.#slowest.map(pullOf),
    };
  }
}

const iso = (time: number): string => new Date(time).toISOString();

const byTime = (a: Row, b: Row): number => (a.name < b.name ? -1 : 1);

function byHour(hours: readonly Row[]): readonly Row[] {
  return hours.map((row) => ({ ...row, name: iso(Number(row.name) * HOUR) })).toSorted(byTime);
}

function byDay(hours: readonly Row[]): readonly Row[] {
  const days = new Map<string, Row>();
  for (const hour of hours) {
    const name = iso(new Date(Number(hour.name) * HOUR).setHours(0, 0, 0, 0));
    const day = days.get(name) ?? { name, ...noCounts() };
    addCounts(day, hour);
    days.set(name, day);
  }
  return [...days.values()].toSorted(byTime);
}

/** The largest first. */
function tableOf(tally: Tally, isWhole: boolean): Table {
  const rows = tally
    .rows()
    .toSorted((a, b) => b.bytes - a.bytes || b.requests - a.requests || (a.name < b.name ? -1 : 1));
  const shown = isWhole ? rows : rows.slice(0, TOP);
  const others = { ...tally.others() };
  for (const row of rows.slice(shown.length)) addCounts(others, row);
  return { rows: shown, others };
}

function reasonsOf(tally: Tally): readonly Reason[] {
  return tally
    .rows()
    .toSorted((a, b) => b.requests - a.requests || (a.name < b.name ? -1 : 1))
    .map(({ name, requests, failures, bytes }) => {
      const [cache = '', ...why] = name.split(' ');
      return {
        cache: cache as CacheResult,
        ...(why.length > 0 && { why: why.join(' ') }),
        requests,
        failures,
        bytes,
      };
    });
}

function percentilesOf(times: Readonly<Record<Percentiles['of'], Histogram>>): readonly Percentiles[] {
  return (['hits', 'misses'] as const).flatMap((of) => {
    const [p50, p90, p99] = [0.5, 0.9, 0.99].map((share) => times[of].percentile(share));
    return p50 === undefined || p90 === undefined || p99 === undefined ? [] : [{ of, p50, p90, p99 }];
  });
}

function pullOf({
  time,
  image,
  reference,
  client,
  cache,
  why,
  bytes,
  total,
}: Entry & Pick<Pull, 'image' | 'total'>): Pull {
  return {
    time: iso(time),
    image,
    ...(reference !== undefined && { reference }),
    client,
    cache,
    ...(why !== undefined && { why }),
    bytes,
    total,
  };
}
