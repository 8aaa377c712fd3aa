import { RegistryError } from '../oci/error.ts';
import { contentReply } from './answers.ts';
import { rangesOf } from './blob.ts';
import type { Exchange, Reply } from './exchange.ts';
import { askingOf, type Registry } from './registry.ts';

/**
 * Answers a request with `Cache-Control: only-if-cached` (RFC 9111 §5.2.1.7) without asking any upstream, be it for
 * content, for what a tag means, or whether the caller may read it; throws NOT_CACHED where that would be needed.
 */
export async function storedReply(registry: Registry, exchange: Exchange): Promise<Reply> {
  const { route } = exchange;
  if (route.kind !== 'manifest' && route.kind !== 'blob') throw new RegistryError('NOT_CACHED');
  const asking = { ...askingOf(exchange, route.repository), accept: exchange.headers.accept };
  const answer = await registry.cache.stored(asking, route.kind === 'blob' ? route.digest : route.reference);
  if (answer === undefined) throw new RegistryError('NOT_CACHED');
  return contentReply(exchange, answer, 0, route.kind === 'blob' ? rangesOf(exchange, route.digest) : undefined);
}
