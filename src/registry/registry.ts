import type { Access, Probe } from '../auth/access.ts';
import type { Challenges } from '../auth/challenges.ts';
import type { TokenRelay } from '../auth/token-relay.ts';
import type { Cache } from '../cache/cache.ts';
import type { Asking } from '../cache/membership.ts';
import { RegistryError } from '../oci/error.ts';
import type { Repository } from '../oci/route.ts';
import type { Exchange } from './exchange.ts';

/** What the endpoints work with. */
export interface Registry {
  readonly access: Access;
  readonly cache: Cache;
  readonly challenges: Challenges;
  readonly tokens: TokenRelay;
  /** Turns an upstream's failure into what a client is told. */
  readonly toClientError: (error: unknown) => unknown;
}

/**
 * Lets a request for content of an upstream pass, or answers it as the upstream would: on the transparent door who
 * brings no credential is challenged, unless what is asked for may be read by anyone, or is served to everybody.
 */
export async function admit(
  registry: Registry,
  exchange: Exchange,
  repository: Repository,
  probe: Probe,
): Promise<Asking> {
  const { caller, door, origin } = exchange;
  const asking = askingOf(exchange, repository);
  registry.challenges.learn(repository.upstream);
  const isAnonymous = caller.authorization === undefined && caller.offline !== true;
  if (door !== 'transparent' || !isAnonymous) return asking;
  if (registry.access.isServed(repository)) return asking;
  if ((await registry.access.grant(caller, repository, probe)) !== undefined) return asking;
  const challenge = await told(registry, registry.challenges.forPull(repository.upstream, origin, repository.name));
  if (challenge === undefined) return asking;
  throw new RegistryError('UNAUTHORIZED', undefined, { headers: { 'WWW-Authenticate': challenge } });
}

/** The question to the cache that a request for content of an upstream makes. */
export function askingOf({ caller, headers, signal }: Exchange, repository: Repository): Asking {
  if (repository.root === 'hosted')
    throw new RegistryError('NAME_UNKNOWN', `nothing was pushed to ${repository.name} yet`);
  return { repository, caller, signal, ...(headers.userAgent !== undefined && { userAgent: headers.userAgent }) };
}

/** Gives a promise's failure the form that a client is told. */
export async function told<Value>({ toClientError }: Registry, promise: Promise<Value>): Promise<Value> {
  try {
    return await promise;
  } catch (error) {
    throw toClientError(error);
  }
}
