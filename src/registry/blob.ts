import type { Digest } from '../oci/digest.ts';
import { parseRange, type RangeSpec } from '../oci/range.ts';
import { contentReply, passedOn } from './answers.ts';
import type { Exchange, Reply, Route } from './exchange.ts';
import { admit, type Registry } from './registry.ts';

/** Pulling blobs (distribution-spec, end-2), whole or in ranges (RFC 9110 §14). */
export async function getBlob(
  registry: Registry,
  exchange: Exchange,
  { repository, digest }: Route & { kind: 'blob' },
): Promise<Reply> {
  const started = performance.now();
  const method = exchange.method === 'HEAD' ? 'HEAD' : 'GET';
  const ranges = rangesOf(exchange, digest);
  const asking = await admit(registry, exchange, repository, {
    kind: 'blob',
    path: `/v2/${repository.name}/blobs/${digest}`,
  });
  const answer = await registry.cache.blob(asking, digest, method, ranges);
  const upstreamTime = performance.now() - started;
  if (answer.kind === 'upstream') return passedOn(registry, exchange, repository, answer, upstreamTime);
  return contentReply(exchange, answer, upstreamTime, ranges);
}

/** The ranges of a blob that are asked for; `undefined` for the whole. */
export function rangesOf({ method, headers }: Exchange, digest: Digest): readonly RangeSpec[] | undefined {
  const { ifRange, range } = headers;
  return method === 'GET' && (ifRange === undefined || ifRange === `"${digest}"`) ? parseRange(range) : undefined;
}
