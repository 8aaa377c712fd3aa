import { mkdir, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Cache } from '../cache/cache.ts';
import type { Config, UpstreamConfig } from '../config/config.ts';
import { ContentIndex } from '../index/content-index.ts';
import { countAllocated } from '../space/count.ts';
import type { Claims } from '../store/claim.ts';
import type { Content } from '../store/content.ts';
import type { FileBackend } from '../store/file-backend.ts';
import type { Layout } from '../store/layout.ts';
import type { Space } from '../store/space.ts';
import type { Spool } from '../store/spool.ts';
import { Completion } from '../upkeep/completion.ts';
import { Eviction } from '../upkeep/eviction.ts';
import { Parked } from '../upkeep/parked.ts';
import { Prefetch } from '../upkeep/prefetch.ts';
import { type Kept, Upkeep } from '../upkeep/upkeep.ts';

/** Where the cache is kept. */
export interface Stores {
  readonly backend: FileBackend;
  readonly content: Content;
  readonly spool: Spool;
  readonly claims: Claims;
  readonly space: Space;
}

/** What keeps the cache within its size, and in order; `config` and `settings` of an upstream are asked each time. */
export function openUpkeep(
  config: () => Config,
  settings: (upstream: string) => UpstreamConfig,
  layout: Layout,
  stores: Stores,
  cache: Cache,
): { readonly upkeep: Upkeep; readonly index: ContentIndex } {
  const { backend, content, spool, claims, space } = stores;
  let counting: Promise<void> | undefined;
  const recount = (pause: number, signal: AbortSignal): Promise<void> => {
    counting ??= space
      .recount(() => countAllocated([layout.cache, layout.spool], { pause, signal }))
      .finally(() => {
        counting = undefined;
      });
    return counting;
  };
  const index = new ContentIndex(layout.index, layout.cache, layout.claims);
  const parked = new Parked(spool, claims);
  const eviction = new Eviction(
    {
      content,
      backend,
      index,
      parked,
      claims,
      space,
      recount: (signal) => recount(0, signal),
      forget: (digest) => cache.evicted(digest),
    },
    () => ({ low: config().storage.evict.low, keep: config().storage.keep }),
  );
  const sweep = async (olderThan: Date): Promise<void> => {
    await backend.sweep(olderThan);
    await spool.sweep(olderThan);
  };
  const completion = new Completion(cache, content, (name) => settings(name).complete === 'background');
  const prefetch = new Prefetch(cache, content, space, (name) => settings(name).prefetch === 'layers');
  const upkeep = new Upkeep({
    completion,
    prefetch,
    eviction,
    index,
    parked,
    claims,
    rounds: roundsIn(layout.index),
    space,
    recount: (signal) => recount(1, signal),
    sweep,
  });
  return { upkeep, index };
}

/** A file's time tells when the last round of upkeep ended. Lost with the index, it is only done sooner. */
function roundsIn(directory: string): Kept['rounds'] {
  const file = join(directory, 'round');
  return {
    last: async () => (await stat(file).catch(() => undefined))?.mtimeMs,
    ended: async () => {
      await mkdir(directory, { recursive: true, mode: 0o700 });
      await writeFile(file, '');
    },
  };
}
