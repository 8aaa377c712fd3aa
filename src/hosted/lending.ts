import type { Cache } from '../cache/cache.ts';
import { cachedRepository, type Repository } from '../oci/route.ts';
import type { Content } from '../store/content.ts';
import type { Hosted } from './hosted.ts';

/**
 * What the cache may lend to a push: what this caller could pull from `from`, or what is public. `isOpen` says whether
 * everything of an upstream is served.
 */
export function lending(
  cache: Pick<Cache, 'stored'>,
  cached: Content,
  isOpen: (repository: Repository) => boolean,
): Hosted['lend'] {
  return async ({ caller, signal }, digest, from) => {
    const name = from === undefined ? await cached.publicBy(digest) : undefined;
    const repository = name === undefined ? from : cachedRepository(name);
    if (repository === undefined || !isOpen(repository)) return undefined;
    return cache.stored({ repository, caller, signal, accept: [] }, digest);
  };
}
