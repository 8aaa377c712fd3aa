import type { Cache } from '../cache/cache.ts';
import type { Config, UpstreamConfig } from '../config/config.ts';
import { Catalog } from '../hosted/catalog.ts';
import { keepExpiring } from '../hosted/expiry.ts';
import type { Hosted } from '../hosted/hosted.ts';
import { lending } from '../hosted/lending.ts';
import { Referrers } from '../hosted/referrers.ts';
import { Sessions } from '../hosted/sessions.ts';
import { matchesPattern } from '../oci/name.ts';
import type { Repository } from '../oci/route.ts';
import type { Claims } from '../store/claim.ts';
import { Content } from '../store/content.ts';
import { FileBackend } from '../store/file-backend.ts';
import type { Layout } from '../store/layout.ts';

/** The registry beside the cache; `cached` is the cache's own content. */
export function openHosted(
  config: () => Config,
  layout: Layout,
  claims: Claims,
  cache: Cache,
  cached: Content,
  settings: (upstream: string) => UpstreamConfig,
  now: () => number,
): Hosted & Disposable {
  const backend = new FileBackend(layout.hosted);
  const sessions = new Sessions(layout.uploads, claims);
  // Rules speak of what is pulled there: where an upstream has some, a blob is uploaded again.
  const isOpen = ({ upstream }: Repository): boolean => {
    try {
      const { allow, deny } = settings(upstream);
      return allow === undefined && deny.length === 0;
    } catch {
      return false;
    }
  };
  const expiring = keepExpiring(sessions, backend);
  return {
    content: new Content(backend, { durable: true }),
    sessions,
    catalog: new Catalog(backend),
    referrers: new Referrers(backend),
    mayDelete: (name) => config().hosted.delete.some((pattern) => matchesPattern(pattern, name)),
    now,
    lend: lending(cache, cached, isOpen),
    [Symbol.dispose]: () => expiring[Symbol.dispose](),
  };
}
