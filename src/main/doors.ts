import { createAdmin } from '../admin/admin.ts';
import type { DiskWatch } from '../admin/disk.ts';
import type { Config } from '../config/config.ts';
import type { Crew } from '../fleet/crew.ts';
import { createGateway, type Gateway } from '../gateway/gateway.ts';
import { withHosted } from '../hosted/endpoints.ts';
import { withPages } from '../pages/listener.ts';
import { createEndpoints } from '../registry/endpoints.ts';
import type { Telemetry } from '../telemetry/telemetry.ts';
import type { Identity } from '../tls/identity.ts';
import { keepFresh, tlsOptions } from '../tls/server-options.ts';
import { toClientError } from '../upstream/failure.ts';
import { VIA } from '../upstream/via.ts';
import { withUsers } from '../users/endpoints.ts';
import type { CrewMetrics } from './crew-metrics.ts';
import { openPages } from './pages.ts';
import type { Rooms } from './rooms.ts';
import type { Upstreams } from './upstreams.ts';
import type { OpenUsers } from './users.ts';

/** What stands behind the doors. */
export interface Doors {
  readonly identity: Identity;
  readonly upstreams: Upstreams;
  readonly telemetry: Telemetry;
  readonly rooms: Rooms;
  readonly users?: OpenUsers | undefined;
  readonly disk: DiskWatch;
  /** The processes that serve beside this one. */
  readonly crew?: Crew | undefined;
  readonly metrics?: CrewMetrics | undefined;
  readonly isReady: () => boolean;
}

/** The gateway before it listens. */
export function openGateway(config: Config, doors: Doors): Gateway {
  const { identity, upstreams, telemetry, rooms, users, disk, crew, metrics, isReady } = doors;
  const shared = {
    isReady,
    warnings: () => [...identity.warnings, ...disk.warnings],
    ...(crew !== undefined && { processes: async () => (await crew.ready()) + Number(isReady()) }),
  };
  const pages = openPages(config, { ...doors, ...shared });
  const admin = createAdmin({
    ...shared,
    metrics: () => metrics?.text() ?? telemetry.metricsText(),
    metricsType: telemetry.contentType,
  });
  const endpoints = withHosted(rooms.hosted, createEndpoints({ ...rooms, toClientError }), pages.names);
  const gateway = createGateway({
    config,
    tls: tlsOptions(identity),
    admin: pages.admin === undefined ? admin : withPages(pages.admin, admin),
    endpoints: users === undefined ? endpoints : withUsers(users.logins, config, endpoints),
    identifyUser: users && ((authorization, origin) => users.logins.identify(authorization, origin)),
    identify: (authorization, upstream) => rooms.callers.identify(authorization, upstream),
    pages: pages.own,
    via: VIA.split(' ')[1] ?? VIA,
    agent: (upstream, base) => upstreams.agent(upstream, base),
    pace: (upstream, body) => upstreams.pace(upstream, body),
    rewriteChallenges: (upstream, origin, lines) => [rooms.challenges.rewrite(upstream, origin, lines) ?? []].flat(),
    onWrite: (repository, reference) => rooms.cache.forget(repository, reference),
  });
  for (const server of gateway.tlsServers) keepFresh(server, identity);
  return gateway;
}
