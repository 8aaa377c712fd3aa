import { referenceText } from '../oci/route.ts';
import { passedOn } from './answers.ts';
import type { Exchange, Reply, Route } from './exchange.ts';
import { admit, type Registry } from './registry.ts';

/** Tag lists (distribution-spec, end-8) and lists of referrers (end-12). */
export async function getList(
  registry: Registry,
  exchange: Exchange,
  route: Route & { kind: 'tags' | 'referrers' },
): Promise<Reply> {
  const started = performance.now();
  const { repository, query, kind } = route;
  const tail = kind === 'tags' ? 'tags/list' : `referrers/${referenceText(route)}`;
  const asking = await admit(registry, exchange, repository, { kind, path: `/v2/${repository.name}/${tail}` });
  const method = exchange.method === 'HEAD' ? 'HEAD' : 'GET';
  const question = { ...asking, method, accept: exchange.headers.accept, query } as const;
  const { cache } = registry;
  const answer = await (kind === 'tags' ? cache.tags(question) : cache.referrers(question, route.digest));
  return passedOn(registry, exchange, repository, answer, performance.now() - started);
}
