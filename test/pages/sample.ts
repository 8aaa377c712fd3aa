import type { CatalogPage } from '../../src/pages/catalog.ts';
import type { Status } from '../../src/pages/status.ts';

export const NOW = Date.parse('2026-11-21T12:00:00Z');

/** A gateway with something of everything; `name` stands wherever a name comes from somewhere else. */
export function statusOf(name: string, changes: Partial<Status> = {}): Status {
  const counts = { requests: 120, fetched: 3 << 20, saved: 40 << 20 };
  const limits = [
    { identity: 'anonymous', remaining: 76 },
    { identity: 'configured', remaining: 180, reset: '2026-11-21T14:10:00Z' },
  ];
  return {
    ready: true,
    warnings: [name],
    since: '2026-11-18T12:00:00Z',
    answers: { requests: 1200, hits: 1100, sent: 50 << 20, saved: 40 << 20, fetched: 10 << 20, waiting: 3 },
    store: { used: 20 * 2 ** 30, limit: 50 * 2 ** 30 },
    fetches: {
      running: 3,
      size: 400,
      received: 100,
      named: [{ repository: name, digest: `sha256:${name}`, size: 200, received: 50 }],
    },
    upstreams: [
      { name, state: 'answering', limits, ...counts },
      { name: 'quay.io', state: 'unreachable', limits: [], ...counts },
      { name: 'ghcr.io', state: 'throttled', until: '2026-11-21T12:20:00Z', limits: [], ...counts },
      { name: 'gcr.io', state: 'unasked', limits: [], requests: 0, fetched: 0, saved: 0 },
    ],
    ...changes,
  };
}

export function catalogOf(name: string, changes: Partial<CatalogPage> = {}): CatalogPage {
  return {
    state: 'known',
    query: name,
    page: 2,
    pages: 3,
    found: 130,
    repositories: [
      { repository: name, size: 1 << 20, used: NOW - 3 * 3_600_000 },
      { repository: 'docker.io/library/alpine', size: 100, used: 0 },
    ],
    ...changes,
  };
}
