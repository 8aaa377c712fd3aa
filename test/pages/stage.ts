import type { ExecutionContext } from 'ava';
import { PRESETS } from '../../src/config/presets.ts';
import type { CatalogEntry } from '../../src/index/catalog.ts';
import { Catalog } from '../../src/pages/catalog.ts';
import type { Fetch } from '../../src/pages/fetches.ts';
import { firstSteps } from '../../src/pages/first-steps.ts';
import { Overview, type Sources } from '../../src/pages/overview.ts';
import { pagesOf } from '../../src/pages/pages.ts';
import { type Running, start } from '../gateway/start.ts';

/** What the page is to show; it may change while it is looked at. */
export interface Scene {
  upstreams: readonly string[];
  figures: readonly object[];
  fetches: readonly Fetch[];
  repositories: readonly CatalogEntry[];
  warnings: readonly string[];
}

const GiB = 2 ** 30;
const HOUR = 3_600_000;

const series = (name: string, ...values: readonly (readonly [number, Record<string, string>])[]): object => ({
  name,
  values: values.map(([value, labels]) => ({ value, labels })),
});

/** Requests, and GiB that were fetched and saved, by registry. */
const TRAFFIC = [
  ['docker.io', 2_318, 17.2, 251],
  ['ghcr.io', 1_120, 9.8, 88.4],
  ['quay.io', 204, 2.2, 21.7],
  ['lscr.io', 96, 1.4, 19],
  ['registry.k8s.io', 58, 0.6, 4.1],
] as const;

/** A household's gateway on an ordinary evening. */
export function evening(): Scene {
  const now = Date.now();
  const byUpstream = (name: string, column: 1 | 2 | 3, unit: number): object =>
    series(name, ...TRAFFIC.map((row) => [row[column] * unit, { upstream: row[0] }] as const));
  const entry = (repository: string, size: number, hours: number): CatalogEntry => {
    return { repository, size: Math.round(size * 2 ** 20), used: now - hours * HOUR };
  };
  const digest = (seed: string): string => `sha256:${seed.repeat(32).slice(0, 64)}`;
  return {
    upstreams: [...PRESETS.keys()],
    figures: [
      series('process_start_time_seconds', [(now - 9 * 24 * HOUR) / 1000, {}]),
      series(
        'layover_requests_total',
        [18_204, { cache: 'hit' }],
        [1_630, { cache: 'revalidated' }],
        [97, { cache: 'collapsed' }],
        [1_212, { cache: 'miss' }],
        [31, { cache: 'bypass' }],
      ),
      series('layover_response_bytes_total', [412.6 * GiB, {}]),
      byUpstream('layover_saved_bytes_total', 3, GiB),
      byUpstream('layover_upstream_bytes_total', 2, GiB),
      byUpstream('layover_upstream_requests_total', 1, 1),
      series(
        'layover_upstream_ratelimit_remaining',
        [64, { upstream: 'docker.io', identity: 'anonymous' }],
        [173, { upstream: 'docker.io', identity: 'configured' }],
      ),
      series('layover_upstream_open_breakers', [1, { upstream: 'quay.io' }]),
      series('layover_followers', [5, {}]),
    ],
    fetches: [
      {
        digest: digest('7be2'),
        repository: 'ghcr.io/home-assistant/home-assistant',
        size: 214_000_000,
        received: 151_000_000,
      },
      { digest: digest('c41d'), repository: 'docker.io/library/postgres', size: 107_000_000, received: 12_600_000 },
      { digest: digest('09fa'), repository: 'private', size: 61_000_000, received: 40_000_000 },
    ],
    repositories: [
      entry('ghcr.io/home-assistant/home-assistant', 1890, 0),
      entry('docker.io/library/postgres', 443, 0),
      entry('docker.io/jellyfin/jellyfin', 702, 0.4),
      entry('lscr.io/linuxserver/sonarr', 214, 1.2),
      entry('docker.io/library/nginx', 187, 2),
      entry('docker.io/grafana/grafana', 486, 5),
      entry('docker.io/library/alpine', 16.2, 7),
      entry('registry.k8s.io/pause', 0.7, 26),
      entry('quay.io/prometheus/node-exporter', 24, 75),
    ],
    warnings: [],
  };
}

/** A gateway that shows a scene; what is called `private` nobody may know of. */
export async function stage(t: ExecutionContext, scene: Scene): Promise<Running & { readonly url: string }> {
  const mayShow: Sources['mayShow'] = async (name) => name !== 'private';
  const sources: Sources = {
    isReady: () => true,
    warnings: () => scene.warnings,
    figures: async () => scene.figures,
    space: () => ({ used: 38.4 * GiB, limit: 50 * GiB }),
    fetches: async () => scene.fetches,
    upstreams: () => scene.upstreams,
    mayShow,
  };
  const catalog = new Catalog(async () => scene.repositories, mayShow);
  t.teardown(() => catalog[Symbol.dispose]());
  const instructions = (origin: string) => [firstSteps(origin)];
  const pages = pagesOf({ overview: new Overview(sources, catalog), names: [], instructions });
  const certificate = () => ({ contentType: 'application/x-x509-ca-cert', body: '' });
  const running = await start(t, { pages: new Map([...pages, ['/ca.crt', certificate]]) });
  return { ...running, url: `http://127.0.0.1:${running.http.port}/` };
}
