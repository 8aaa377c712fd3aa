import type { Exchange, Reply, Route } from './exchange.ts';
import { type Registry, told } from './registry.ts';

const EMPTY = Buffer.from('{}');

/**
 * `GET /v2/`: on our own names always 200, on a presented one what its upstream answers, also while it is gone; with
 * a credential it is how clients check a login, so that the upstream itself is asked.
 */
export async function ping(
  registry: Registry,
  exchange: Exchange,
  { upstream }: Route & { kind: 'ping' },
): Promise<Reply> {
  const { caller, origin, signal } = exchange;
  if (upstream === undefined || caller.offline === true) return reply(200, undefined);
  const asked =
    caller.authorization === undefined
      ? registry.challenges.ping(upstream)
      : registry.challenges.check(upstream, caller.authorization, signal);
  const { status, challenges } = await told(registry, asked);
  return reply(status, registry.challenges.rewrite(upstream, origin, challenges));
}

function reply(status: number, challenge: string | undefined): Reply {
  const bytes =
    status === 401 ? Buffer.from('{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]}') : EMPTY;
  return {
    status,
    headers: {
      'Content-Type': 'application/json',
      'Content-Length': String(bytes.length),
      ...(challenge !== undefined && { 'WWW-Authenticate': challenge }),
    },
    body: { kind: 'bytes', bytes },
    outcome: { cache: 'none', why: 'ping' },
  };
}
