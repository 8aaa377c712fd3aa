import type { CacheResult } from '../events.ts';
import type { Counted } from './counted.ts';
import type { FetchesShown } from './fetches.ts';

/** How the gateway stands, as everybody may know it. Sizes in bytes, times in ISO 8601; what is counted since the start. */
export interface Status {
  readonly ready: boolean;
  /** What somebody should do something about. */
  readonly warnings: readonly string[];
  /** When counting began; absent where several processes count, whose figures go on over restarts. */
  readonly since?: string;
  /** How many processes serve, where they are several. */
  readonly processes?: number;
  readonly answers: Answers;
  readonly store: { readonly used: number; readonly limit: number };
  readonly fetches: FetchesShown;
  readonly upstreams: readonly UpstreamStatus[];
}

/** Answers with content, private content among them. */
export interface Answers {
  readonly requests: number;
  /** Those for which nothing had to be fetched. */
  readonly hits: number;
  /** Bytes sent, those of them that were saved, and bytes that came from upstreams. */
  readonly sent: number;
  readonly saved: number;
  readonly fetched: number;
  /** How many are being fed by a running fetch. */
  readonly waiting: number;
}

export interface UpstreamStatus {
  readonly name: string;
  readonly state: 'unasked' | 'answering' | 'unreachable' | 'throttled';
  /** When it is asked again, where it is throttled. */
  readonly until?: string;
  /** What it said last of how often we may ask: as nobody, and by accounts of ours. */
  readonly limits: readonly RateLimit[];
  readonly requests: number;
  readonly fetched: number;
  readonly saved: number;
}

export interface RateLimit {
  readonly identity: string;
  readonly remaining: number;
  readonly reset?: string;
}

const CONCERNED: readonly CacheResult[] = ['hit', 'revalidated', 'stale', 'collapsed', 'miss', 'bypass'];
const HITS = CONCERNED.slice(0, 4);

/** What of the status is counted; `upstreams`: the keys of the configuration; `now`: milliseconds since 1970. */
export function countedStatus(
  counted: Counted,
  upstreams: readonly string[],
  now: number,
): Pick<Status, 'since' | 'answers' | 'upstreams'> {
  const [started] = counted.samples('process_start_time_seconds');
  return {
    ...(started !== undefined && { since: new Date(started.value * 1000).toISOString() }),
    answers: answersOf(counted),
    upstreams: upstreams.map((name) => upstreamStatus(counted, name, now)),
  };
}

function answersOf(counted: Counted): Answers {
  const of = (cache: CacheResult): number => counted.sum('layover_requests_total', { cache });
  const add = (results: readonly CacheResult[]): number => results.reduce((sum, cache) => sum + of(cache), 0);
  return {
    requests: add(CONCERNED),
    hits: add(HITS),
    sent: counted.sum('layover_response_bytes_total'),
    saved: counted.sum('layover_saved_bytes_total'),
    fetched: counted.sum('layover_upstream_bytes_total'),
    waiting: counted.sum('layover_followers'),
  };
}

function upstreamStatus(counted: Counted, upstream: string, now: number): UpstreamStatus {
  const until = counted.sum('layover_upstream_cooldown_end_timestamp_seconds', { upstream }) * 1000;
  const requests = counted.sum('layover_upstream_requests_total', { upstream });
  const isOpen = counted.sum('layover_upstream_open_breakers', { upstream }) > 0;
  const state = isOpen ? 'unreachable' : until > now ? 'throttled' : requests > 0 ? 'answering' : 'unasked';
  return {
    name: upstream,
    state,
    ...(state === 'throttled' && { until: new Date(until).toISOString() }),
    limits: limitsOf(counted, upstream, now),
    requests,
    fetched: counted.sum('layover_upstream_bytes_total', { upstream }),
    saved: counted.sum('layover_saved_bytes_total', { upstream }),
  };
}

/** What a client may still ask by its own login is nobody else's business, and what was counted before a reset is over. */
function limitsOf(counted: Counted, upstream: string, now: number): readonly RateLimit[] {
  const found = counted.samples('layover_upstream_ratelimit_remaining', { upstream });
  return found.flatMap(({ labels, value }) => {
    const identity = String(labels.identity);
    if (identity === 'forward') return [];
    const reset = counted.sum('layover_upstream_ratelimit_reset_timestamp_seconds', { upstream, identity }) * 1000;
    if (reset === 0) return [{ identity, remaining: value }];
    return reset <= now ? [] : [{ identity, remaining: value, reset: new Date(reset).toISOString() }];
  });
}
