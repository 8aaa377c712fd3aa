import { Gauge, Histogram, type Registry } from 'prom-client';
import { type Events, subscribe } from '../events.ts';
import { counter } from './counter.ts';

/** The label value that stands for an upstream. */
export type Bound = (upstream: string | undefined) => string;
export type Listener<Name extends keyof Events> = (event: Events[Name]) => void;

export const SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30];

/** Counts what is asked of upstreams, and what they say of it; returns what ends that. */
export function upstreamMetrics(
  registry: Registry,
  upstreams: readonly string[],
  bound: Bound,
  keyOf: (upstream: string) => string,
): readonly (() => void)[] {
  return [
    subscribe('upstreamRequest', upstreamRequests(registry, bound)),
    subscribe('upstreamBytes', upstreamBytes(registry, bound)),
    subscribe('breaker', breakers(registry, upstreams, keyOf)),
    subscribe('budget', budgets(registry, bound)),
    subscribe('coolDown', coolDowns(registry, bound)),
  ];
}

function upstreamRequests(registry: Registry, bound: Bound): Listener<'upstreamRequest'> {
  const labels = ['upstream', 'kind', 'status'];
  const total = counter(registry, 'layover_upstream_requests_total', 'Requests to upstreams.', labels);
  const seconds = new Histogram({
    name: 'layover_upstream_request_seconds',
    help: 'From sending a request to an upstream to the head of its answer.',
    labelNames: ['upstream'],
    buckets: SECONDS,
    registers: [registry],
  });
  return (request) => {
    const upstream = bound(request.upstream);
    total(1, upstream, request.kind, upstreamStatus(request.status));
    seconds.observe({ upstream }, request.time / 1000);
  };
}

function upstreamBytes(registry: Registry, bound: Bound): Listener<'upstreamBytes'> {
  const total = counter(registry, 'layover_upstream_bytes_total', 'Body bytes received from upstreams.', ['upstream']);
  return ({ upstream, bytes }) => total(bytes, bound(upstream));
}

function breakers(
  registry: Registry,
  upstreams: readonly string[],
  keyOf: (upstream: string) => string,
): Listener<'breaker'> {
  const open = new Map(upstreams.map((upstream) => [upstream, new Set<string>()]));
  new Gauge({
    name: 'layover_upstream_open_breakers',
    help: 'Origins of an upstream that are not asked, since they cannot be connected to.',
    aggregator: 'max',
    labelNames: ['upstream'],
    registers: [registry],
    collect() {
      for (const [upstream, origins] of open) this.set({ upstream }, origins.size);
    },
  });
  return ({ upstream, origin, state }) => {
    if (state === 'open') open.get(keyOf(upstream))?.add(origin);
    else open.get(keyOf(upstream))?.delete(origin);
  };
}

function budgets(registry: Registry, bound: Bound): Listener<'budget'> {
  const shape = { labelNames: ['upstream', 'identity'], registers: [registry] };
  const remaining = new Gauge({
    name: 'layover_upstream_ratelimit_remaining',
    help: 'Requests that an upstream said it will still take.',
    aggregator: 'min',
    ...shape,
  });
  const reset = new Gauge({
    name: 'layover_upstream_ratelimit_reset_timestamp_seconds',
    help: 'When an upstream said it will count anew, in seconds since 1970.',
    aggregator: 'max',
    ...shape,
  });
  return ({ upstream, identity, ...budget }) => {
    const labels = { upstream: bound(upstream), identity };
    remaining.set(labels, budget.remaining);
    if (budget.reset !== undefined) reset.set(labels, budget.reset / 1000);
  };
}

/** Of who asks as nobody or by an account of ours: how long a client has to wait is its own business. */
function coolDowns(registry: Registry, bound: Bound): Listener<'coolDown'> {
  const end = new Gauge({
    name: 'layover_upstream_cooldown_end_timestamp_seconds',
    help: 'Until when an upstream that had enough is not asked again, in seconds since 1970.',
    aggregator: 'max',
    labelNames: ['upstream'],
    registers: [registry],
  });
  return ({ upstream, principal, until }) => {
    if (!principal.startsWith('credential:')) end.set({ upstream: bound(upstream) }, until / 1000);
  };
}

/** Upstream statuses are told apart, since 401, 404 and 429 call for different reactions; `error` means no answer. */
function upstreamStatus(status: number | undefined): string {
  if (status === undefined) return 'error';
  return status >= 100 && status <= 599 ? String(status) : 'other';
}
