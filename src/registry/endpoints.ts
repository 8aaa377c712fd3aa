import { RegistryError } from '../oci/error.ts';
import { inThePast } from './as-of.ts';
import { getBlob } from './blob.ts';
import type { Endpoints, Exchange, Reply, Route } from './exchange.ts';
import { getList } from './lists.ts';
import { getManifest } from './manifest.ts';
import { storedReply } from './only-if-cached.ts';
import { ping } from './ping.ts';
import type { Registry } from './registry.ts';
import { relayToken } from './token.ts';

/** The endpoints of the distribution-spec over one registry. */
export function createEndpoints(registry: Registry): Endpoints {
  return async (asked: Exchange): Promise<Reply> => {
    const exchange = await inThePast(registry, asked);
    const { route } = exchange;
    if (exchange.headers.onlyIfCached === true && !isOwnPing(route)) return storedReply(registry, exchange);
    switch (route.kind) {
      case 'ping':
        return ping(registry, exchange, route);
      case 'token':
        return relayToken(registry, exchange, route);
      case 'manifest':
        return getManifest(registry, exchange, route);
      case 'blob':
        return getBlob(registry, exchange, route);
      case 'tags':
      case 'referrers':
        return getList(registry, exchange, route);
      case 'catalog':
      case 'upload':
        throw new RegistryError('UNSUPPORTED');
    }
  };
}

/** On our own names `/v2/` is nobody else's answer. */
function isOwnPing(route: Route): boolean {
  return route.kind === 'ping' && route.upstream === undefined;
}
