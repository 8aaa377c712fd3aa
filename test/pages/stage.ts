import type { ExecutionContext } from 'ava';
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

/** A household's gateway on an ordinary evening. */
export function evening(): Scene {
  const now = Date.now();
  const upstream = (name: string, value: number) => [value, { upstream: name }] as const;
  const entry = (repository: string, size: number, hours: number): CatalogEntry => {
    return { repository, size: Math.round(size * 2 ** 20), used: now - hours * HOUR };
  };
  const digest = (seed: string): string => `sha256:${seed.repeat(32).slice(0, 64)}`;
  return {
    upstreams: [
      'docker.io',
      'ghcr.io',
      'quay.io',
      'lscr.io',
      'registry.k8s.io',
      'gcr.io',
      'mcr.microsoft.com',
      'public.ecr.aws',
    ],
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
      series(
        'layover_saved_bytes_total',
        upstream('docker.io', 251 * GiB),
        upstream('ghcr.io', 88.4 * GiB),
        upstream('quay.io', 21.7 * GiB),
        upstream('lscr.io', 19 * GiB),
        upstream('registry.k8s.io', 4.1 * GiB),
      ),
      series(
        'layover_upstream_bytes_total',
        upstream('docker.io', 17.2 * GiB),
        upstream('ghcr.io', 9.8 * GiB),
        upstream('quay.io', 2.2 * GiB),
        upstream('lscr.io', 1.4 * GiB),
        upstream('registry.k8s.io', 0.6 * GiB),
      ),
      series(
        'layover_upstream_requests_total',
        upstream('docker.io', 2_318),
        upstream('ghcr.io', 1_120),
        upstream('quay.io', 204),
        upstream('lscr.io', 96),
        upstream('registry.k8s.io', 58),
      ),
      series(
        'layover_upstream_ratelimit_remaining',
        [64, { upstream: 'docker.io', identity: 'anonymous' }],
        [173, { upstream: 'docker.io', identity: 'configured' }],
      ),
      series('layover_upstream_open_breakers', upstream('quay.io', 1)),
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
