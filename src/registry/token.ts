import { RegistryError } from '../oci/error.ts';
import type { Exchange, Reply, Route } from './exchange.ts';
import { type Registry, told } from './registry.ts';

/** The token endpoint of a presented host: the upstream's own service answers, through us. */
export async function relayToken(
  registry: Registry,
  exchange: Exchange,
  route: Route & { kind: 'token' },
): Promise<Reply> {
  const { body, caller, headers, method, signal } = exchange;
  if (route.upstream === undefined) throw new RegistryError('UNSUPPORTED', 'no such endpoint', { status: 404 });
  const relayed = registry.tokens.relay(route.upstream, {
    method: method === 'POST' ? 'POST' : 'GET',
    query: new URLSearchParams(route.query),
    body,
    signal,
    ...(caller.authorization !== undefined && { authorization: caller.authorization }),
    ...(headers.contentType !== undefined && { contentType: headers.contentType }),
  });
  const answer = await told(registry, relayed);
  return {
    status: answer.status,
    headers: {
      'Content-Type': answer.contentType,
      'Content-Length': String(answer.bytes.length),
      'Cache-Control': 'no-store',
    },
    body: { kind: 'bytes', bytes: answer.bytes },
    outcome: { cache: 'none', why: answer.offline ? 'offline-token' : 'token' },
  };
}
