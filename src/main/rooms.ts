import { hkdfSync } from 'node:crypto';
import { Access } from '../auth/access.ts';
import { Callers } from '../auth/callers.ts';
import { Challenges } from '../auth/challenges.ts';
import { OfflineTokens } from '../auth/offline-tokens.ts';
import { Principals } from '../auth/principal.ts';
import { TokenRelay } from '../auth/token-relay.ts';
import { Cache } from '../cache/cache.ts';
import { Fills } from '../cache/fills.ts';
import { Membership } from '../cache/membership.ts';
import { SmallObjects } from '../cache/small-objects.ts';
import type { Config, UpstreamConfig } from '../config/config.ts';
import { accountFor } from '../config/lookup.ts';
import type { Hosted } from '../hosted/hosted.ts';
import type { ContentIndex } from '../index/content-index.ts';
import { matchesPattern } from '../oci/name.ts';
import type { Repository } from '../oci/route.ts';
import { Fetches } from '../pages/fetches.ts';
import { DiskSpace } from '../space/disk-space.ts';
import { Content } from '../store/content.ts';
import { FileBackend } from '../store/file-backend.ts';
import { FileClaims } from '../store/file-claims.ts';
import { KeptLists } from '../store/kept-lists.ts';
import type { Layout } from '../store/layout.ts';
import { Spool } from '../store/spool.ts';
import type { Upkeep } from '../upkeep/upkeep.ts';
import type { Upstream } from '../upstream/upstream.ts';
import { openHosted } from './hosted.ts';
import { openUpkeep } from './upkeep.ts';
import type { Upstreams } from './upstreams.ts';

/** What answers requests, without doors. */
export interface Rooms {
  readonly access: Access;
  readonly cache: Cache;
  readonly callers: Callers;
  readonly challenges: Challenges;
  readonly tokens: TokenRelay;
  readonly hosted: Hosted & Disposable;
  readonly space: DiskSpace;
  readonly upkeep: Upkeep;
  readonly index: Pick<ContentIndex, 'catalog'>;
  /** For the pages. */
  readonly fetches: Fetches;
}

/** `config` is asked each time, so that a reload takes effect; `now`: milliseconds since 1970. */
export function furnish(
  config: () => Config,
  layout: Layout,
  upstreams: Pick<Upstreams, 'get' | 'settings'>,
  now: () => number,
): Rooms {
  const upstream = (name: string): Upstream => upstreams.get(name);
  const settings = (name: string): UpstreamConfig => upstreams.settings(name);
  const claims = new FileClaims(layout.claims);
  const { processes, storage } = config();
  const { size, reserve, evict } = storage;
  const space = new DiskSpace(layout, claims, { size, reserve, high: evict.high, processes });
  const backend = new FileBackend(layout.cache, space);
  const content = new Content(backend, { durable: false });
  const spool = new Spool(layout.spool, space);
  const policy = {
    get offline() {
      return config().grants.offline;
    },
    account: ({ upstream: name, name: repository }: Repository) => {
      const account = accountFor(settings(name), repository);
      const serves = account?.serve.some((pattern) => matchesPattern(pattern, repository)) ?? false;
      return account && { id: account.id, serves };
    },
  };
  const access = new Access(content, policy, upstream, now);
  const offline = new OfflineTokens(derive(layout, 'offline-tokens'), now);
  const callers = new Callers(new Principals(derive(layout, 'principals')), offline, now);
  const membership = new Membership(content, access, upstream);
  const fills = new Fills({ content, spool, claims, space });
  const cache = new Cache(
    { content, lists: new KeptLists(backend), access, membership, fills, small: new SmallObjects(), upstream },
    (name) => settings(name).tags,
  );
  const challenges = new Challenges(content, upstream, (name) => settings(name).challenge === 'verbatim');
  const { upkeep, index } = openUpkeep(config, settings, layout, { backend, content, spool, claims, space }, cache);
  const tokens = new TokenRelay(access, callers, offline, upstream);
  const hosted = openHosted(config, layout, claims, cache, content, settings, now);
  return { access, cache, callers, challenges, tokens, hosted, space, upkeep, index, fetches: new Fetches() };
}

/** A key for one purpose, the same for all processes of a data directory. */
export function derive({ grantsKey }: Layout, purpose: string): Uint8Array {
  return new Uint8Array(hkdfSync('sha256', grantsKey, '', purpose, 32));
}
