import { referenceText } from '../oci/route.ts';
import { contentReply, passedOn } from './answers.ts';
import type { Exchange, Reply, Route } from './exchange.ts';
import { admit, type Registry } from './registry.ts';

/** Pulling manifests (distribution-spec, end-3), by tag and by digest. */
export async function getManifest(
  registry: Registry,
  exchange: Exchange,
  { repository, reference }: Route & { kind: 'manifest' },
): Promise<Reply> {
  const started = performance.now();
  const method = exchange.method === 'HEAD' ? 'HEAD' : 'GET';
  const probe = { kind: 'manifest', path: `/v2/${repository.name}/manifests/${referenceText(reference)}` } as const;
  const asking = await admit(registry, exchange, repository, probe);
  const answer = await registry.cache.manifest({ ...asking, accept: exchange.headers.accept }, reference, method);
  const upstreamTime = performance.now() - started;
  if (answer.kind === 'upstream') return passedOn(registry, exchange, repository, answer, upstreamTime);
  return contentReply(exchange, answer, upstreamTime);
}
