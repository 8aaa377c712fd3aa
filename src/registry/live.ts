import { referenceText } from '../oci/route.ts';
import { passedOn } from './answers.ts';
import type { Exchange, Reply, Route } from './exchange.ts';
import { admit, type Registry } from './registry.ts';

/** Tag lists (distribution-spec, end-8) and referrers (end-12): the upstream's answer of this moment. */
export async function getLive(
  registry: Registry,
  exchange: Exchange,
  route: Route & { kind: 'tags' | 'referrers' },
): Promise<Reply> {
  const started = performance.now();
  const { repository, query, kind } = route;
  const tail = kind === 'tags' ? 'tags/list' : `referrers/${referenceText(route)}`;
  const path = `/v2/${repository.name}/${tail}${query === '' ? '' : `?${query}`}`;
  const asking = await admit(registry, exchange, repository, { kind, path });
  const method = exchange.method === 'HEAD' ? 'HEAD' : 'GET';
  const answer = await registry.cache.live(asking, kind, path, method, exchange.headers.accept);
  return passedOn(registry, exchange, repository, answer, performance.now() - started);
}
