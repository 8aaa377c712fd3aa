import { ANONYMOUS } from '../auth/principal.ts';
import type { Config } from '../config/config.ts';
import type { Crew } from '../fleet/crew.ts';
import type { Pages } from '../gateway/pages.ts';
import { ruleAgainst } from '../gateway/rules.ts';
import type { Names } from '../hosted/lists.ts';
import { cachedRepository } from '../oci/route.ts';
import { Catalog } from '../pages/catalog.ts';
import { type Fetch, together } from '../pages/fetches.ts';
import { firstSteps } from '../pages/first-steps.ts';
import { Overview, type Sources } from '../pages/overview.ts';
import { pagesOf } from '../pages/pages.ts';
import type { Telemetry } from '../telemetry/telemetry.ts';
import type { Identity } from '../tls/identity.ts';
import type { CrewMetrics } from './crew-metrics.ts';
import type { Rooms } from './rooms.ts';
import { openSetup } from './setup.ts';
import type { Upstreams } from './upstreams.ts';

/** What the pages tell of. */
export interface Told extends Pick<Sources, 'isReady' | 'warnings' | 'processes'> {
  readonly identity: Pick<Identity, 'rootCertificates'>;
  readonly rooms: Pick<Rooms, 'access' | 'index' | 'fetches' | 'space'>;
  readonly upstreams: Pick<Upstreams, 'settings'>;
  readonly telemetry: Telemetry;
  readonly crew?: Crew | undefined;
  readonly metrics?: CrewMetrics | undefined;
}

/** The pages of our own names, those of the admin listener, and the names of what is cached, for everybody. */
export function openPages(
  config: Pick<Config, 'listen' | 'mirror' | 'names' | 'page' | 'upstreams'>,
  told: Told,
): { readonly own: Pages; readonly admin: Pages | undefined; readonly names: Names } {
  const { mirror, names, page, upstreams } = config;
  const clients = openSetup(config, told.identity);
  const overview = page === 'off' ? undefined : overviewOf(Object.keys(upstreams), told);
  const instructions = (origin: string) => [firstSteps(origin), ...clients.instructions(origin)];
  // A page asks nobody who he is: what only users may read, it tells nobody.
  const isOpen = page === 'public' && mirror.read === 'anyone';
  const own = pagesOf({ overview: isOpen ? overview : undefined, names, instructions });
  const certificate = () => ({
    contentType: 'application/x-x509-ca-cert',
    body: told.identity.rootCertificates,
  });
  return {
    // Who keeps from strangers what is cached keeps the names from them too.
    names: async (limit, after) => (page === 'public' ? ((await overview?.catalog.names(limit, after)) ?? []) : []),
    own: new Map([...own, ['/ca.crt', certificate], ['/setup.sh', clients.script]]),
    admin: overview && pagesOf({ overview, names }),
  };
}

function overviewOf(names: readonly string[], told: Told): Overview {
  const { crew, metrics, rooms, telemetry } = told;
  const mayShow = (name: string): Promise<boolean> => isForEverybody(name, told);
  const sources: Sources = {
    ...told,
    mayShow,
    space: () => rooms.space.state(),
    figures: () => metrics?.figures() ?? telemetry.metrics(),
    fetches: async () => {
      const others = (await crew?.fetches()) ?? [];
      return together([rooms.fetches.running(), ...others.map((text) => JSON.parse(text) as readonly Fetch[])]);
    },
    upstreams: () => names,
  };
  return new Overview(sources, new Catalog((limit) => rooms.index.catalog(limit), mayShow));
}

/**
 * Whether a stranger would get what is stored of a repository while its upstream is away: then it is public or shared by
 * our own policy, and no rule of its upstream is against it. In doubt nobody is told of it.
 */
async function isForEverybody(name: string, { rooms, upstreams }: Told): Promise<boolean> {
  const repository = cachedRepository(name);
  try {
    const settings = upstreams.settings(repository.upstream);
    const route = { kind: 'tags', repository, query: '' } as const;
    const rule = ruleAgainst({ upstream: () => settings }, { kind: 'registry', door: 'own', origin: '', route });
    return rule === undefined && (await rooms.access.grant(ANONYMOUS, repository, undefined, true)) !== undefined;
  } catch {
    return false;
  }
}
