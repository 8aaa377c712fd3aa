import { createAdmin } from '../admin/admin.ts';
import type { Config } from '../config/config.ts';
import { createGateway, type Gateway } from '../gateway/gateway.ts';
import { createEndpoints } from '../registry/endpoints.ts';
import type { Telemetry } from '../telemetry/telemetry.ts';
import type { Identity } from '../tls/identity.ts';
import { keepFresh, tlsOptions } from '../tls/server-options.ts';
import { toClientError } from '../upstream/failure.ts';
import type { Network } from '../upstream/network.ts';
import { VIA } from '../upstream/via.ts';
import type { Rooms } from './rooms.ts';

/** What stands behind the doors. */
export interface Doors {
  readonly identity: Identity;
  readonly network: Network;
  readonly authorities: ReadonlyMap<string, string>;
  readonly telemetry: Telemetry;
  readonly rooms: Rooms;
  readonly isReady: () => boolean;
}

/** The gateway before it listens. */
export function openGateway(
  config: Config,
  { identity, network, authorities, telemetry, rooms, isReady }: Doors,
): Gateway {
  const agents = new Map<string, ReturnType<Network['agent']>>();
  const gateway = createGateway({
    config,
    tls: tlsOptions(identity),
    admin: createAdmin({
      isReady,
      warnings: () => identity.warnings,
      metrics: () => telemetry.metricsText(),
      metricsType: telemetry.contentType,
    }),
    endpoints: createEndpoints({ ...rooms, toClientError }),
    identify: (authorization, upstream) => rooms.callers.identify(authorization, upstream),
    rootCertificates: () => identity.rootCertificates,
    via: VIA.split(' ')[1] ?? VIA,
    agent: (upstream, base) => {
      const key = `${upstream} ${base.origin}`;
      const agent =
        agents.get(key) ?? network.agent({ secure: base.protocol === 'https:', ca: authorities.get(upstream) });
      agents.set(key, agent);
      return agent;
    },
    rewriteChallenges: (upstream, origin, lines) => [rooms.challenges.rewrite(upstream, origin, lines) ?? []].flat(),
    onWrite: (repository, reference) => rooms.cache.forget(repository, reference),
  });
  for (const server of gateway.tlsServers) keepFresh(server, identity);
  return gateway;
}
