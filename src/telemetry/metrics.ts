import { AggregatorRegistry, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import { type CacheResult, subscribe } from '../events.ts';
import { counter } from './counter.ts';
import { storeMetrics } from './store-metrics.ts';
import { type Bound, type Listener, SECONDS, upstreamMetrics } from './upstream-metrics.ts';

/** Kinds of requests that get series of their own; every other kind is counted as `other`. */
const KINDS = new Set([
  'ping',
  'token',
  'catalog',
  'manifest',
  'blob',
  'upload',
  'tags',
  'referrers',
  'pass',
  'page',
  'redirect',
  'unrouted',
]);
/** Cache results whose bytes were not fetched for the answer. */
const SAVING: ReadonlySet<CacheResult> = new Set(['hit', 'revalidated', 'stale', 'collapsed']);

export interface Metrics {
  readonly registry: Registry;
  close(): void;
}

/** What a process counted: names, labels and values. */
export type Figures = readonly object[];

/**
 * The text of a process's metrics, and of others that serve beside it. Sums, but where a metric says otherwise: what is told of the
 * disk that they share is the same from each.
 */
export async function together(registry: Registry, others: readonly Figures[]): Promise<string> {
  if (others.length === 0) return registry.metrics();
  const own = await registry.getMetricsAsJSON();
  return AggregatorRegistry.aggregate([own, ...others]).metrics();
}

/** What goes on after the end of a process: what it counted, without how it stood. */
export function lasting(figures: Figures): Figures {
  return figures.filter((metric) => 'type' in metric && (metric.type === 'counter' || metric.type === 'histogram'));
}

/** The sums of what several processes counted. */
export function add(all: readonly Figures[]): Promise<Figures> {
  return AggregatorRegistry.aggregate([...all]).getMetricsAsJSON();
}

/**
 * Counts events in a registry of its own until closed. Only names in `upstreams` become label values, by `keyOf`; anything else is
 * `other` and absence `none`, so that no client can grow the number of series.
 */
export function openMetrics(upstreams: readonly string[], keyOf = (upstream: string) => upstream): Metrics {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const known = new Set(upstreams);
  const bound: Bound = (upstream) => {
    if (upstream === undefined) return 'none';
    const key = keyOf(upstream);
    return known.has(key) ? key : 'other';
  };
  const proofs = counter(registry, 'layover_proofs_total', 'Answers to: may this principal read?', [
    'upstream',
    'result',
  ]);
  const logins = counter(registry, 'layover_logins_total', 'Passwords of users that were shown.', ['result']);
  for (const result of ['accepted', 'refused', 'limited']) logins(0, result);
  const subscriptions = [
    subscribe('request', requests(registry, bound)),
    ...upstreamMetrics(registry, upstreams, bound, keyOf),
    subscribe('fill', fills(registry, bound)),
    subscribe('follower', followers(registry)),
    subscribe('certificates', certificates(registry)),
    subscribe('proof', ({ upstream, result }) => proofs(1, bound(upstream), result)),
    subscribe('login', ({ result }) => logins(1, result)),
    ...storeMetrics(registry),
  ];
  return {
    registry,
    close: () => {
      for (const unsubscribe of subscriptions) unsubscribe();
      registry.clear();
    },
  };
}

function requests(registry: Registry, bound: Bound): Listener<'request'> {
  const labels = ['door', 'upstream', 'kind', 'cache', 'status'];
  const total = counter(registry, 'layover_requests_total', 'Finished requests of clients.', labels);
  const bytes = counter(registry, 'layover_response_bytes_total', 'Body bytes sent to clients.', [
    'upstream',
    'kind',
    'cache',
  ]);
  const saved = counter(registry, 'layover_saved_bytes_total', 'Body bytes sent that nobody had to fetch for it.', [
    'upstream',
  ]);
  const tokens = counter(registry, 'layover_tokens_total', 'Tokens given to clients.', ['upstream', 'issuer']);
  const firstByte = new Histogram({
    name: 'layover_time_to_first_byte_seconds',
    help: 'From the head of a request to the first byte of its answer.',
    labelNames: ['cache'],
    buckets: SECONDS,
    registers: [registry],
  });
  return (request) => {
    const upstream = bound(request.upstream);
    const kind = KINDS.has(request.kind) ? request.kind : 'other';
    total(1, request.door, upstream, kind, request.cache, statusClass(request.status));
    bytes(request.bytes, upstream, kind, request.cache);
    if (SAVING.has(request.cache)) saved(request.bytes, upstream);
    if (kind === 'token' && request.status === 200) {
      tokens(1, upstream, request.why === 'offline-token' || request.why === 'own-token' ? 'gateway' : 'upstream');
    }
    firstByte.observe({ cache: request.cache }, request.firstByte / 1000);
  };
}

function fills(registry: Registry, bound: Bound): Listener<'fill'> {
  const total = counter(registry, 'layover_fills_total', 'What happened to fills.', ['upstream', 'phase']);
  const running = new Set<string>();
  new Gauge({
    name: 'layover_fills_running',
    help: 'Blobs being fetched now.',
    registers: [registry],
    collect() {
      this.set(running.size);
    },
  });
  return ({ upstream, phase, digest }) => {
    total(1, bound(upstream), phase);
    if (phase === 'started' || phase === 'resumed' || phase === 'switched') running.add(digest);
    else running.delete(digest);
  };
}

function followers(registry: Registry): Listener<'follower'> {
  const gauge = new Gauge({ name: 'layover_followers', help: 'Answers fed by a running fill.', registers: [registry] });
  return ({ phase }) => (phase === 'joined' ? gauge.inc() : gauge.dec());
}

function certificates(registry: Registry): Listener<'certificates'> {
  const registers = [registry];
  const ends = new Gauge({
    name: 'layover_certificate_end_timestamp_seconds',
    help: 'When a certificate ends, in seconds since 1970.',
    aggregator: 'min',
    labelNames: ['certificate'],
    registers,
  });
  const uncovered = new Gauge({
    name: 'layover_hosts_uncovered',
    help: 'Presented hosts and own names that no certificate covers.',
    aggregator: 'max',
    registers,
  });
  return (event) => {
    ends.reset();
    for (const [certificate, end] of Object.entries(event.ends)) ends.set({ certificate }, end / 1000);
    uncovered.set(event.uncovered.length);
  };
}

function statusClass(status: number): string {
  return status >= 100 && status <= 599 ? `${Math.floor(status / 100)}xx` : 'other';
}
