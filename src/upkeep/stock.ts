import type { ContentIndex } from '../index/content-index.ts';
import { type Inventory, type InventoryObject, takeInventory } from '../index/inventory.ts';
import { digestOfKey, each, keysBelow, repositoryOf } from '../index/rebuild.ts';
import type { Digest } from '../oci/digest.ts';
import { matchesImage } from '../oci/name.ts';
import type { Backend } from '../store/backend.ts';
import type { Content } from '../store/content.ts';
import { parseTagRecord } from '../store/records.ts';
import { keptBy } from './kept.ts';

/** What could be evicted, and the digests behind its ids. */
export interface Stock {
  readonly inventory: Inventory;
  digests(ids: readonly number[]): Promise<readonly Digest[]>;
}

/** How many of the oldest files are looked at together where there is no index. */
const OLDEST = 10_000;

/** As the index knows it; `undefined` when it does not know yet, or at all. */
export async function stockOfIndex(
  index: ContentIndex,
  content: Content,
  patterns: readonly string[],
): Promise<Stock | undefined> {
  if (index.state !== 'ready') return undefined;
  const repositories = patterns.length === 0 ? [] : await index.repositories();
  const inventory = await index.inventory(await keptBy(patterns, repositories, content));
  return inventory && { inventory, digests: (ids) => index.digests(ids) };
}

/** As the files alone tell it: the oldest of them, each by itself, and what belongs to a kept repository spared. */
export async function stockOfFiles(backend: Backend, patterns: readonly string[]): Promise<Stock> {
  const kept = patterns.length === 0 ? new Set<string>() : await keptFiles(backend, patterns);
  let oldest: { readonly digest: Digest; readonly size: number; readonly used: number }[] = [];
  for await (const keys of keysBelow(backend, 'blobs/')) {
    const found = await each(keys, async (key) => {
      const digest = digestOfKey(key.split('/').slice(1));
      const stat = digest === undefined || kept.has(digest) ? undefined : await backend.stat(key);
      return digest && stat && { digest, size: stat.size, used: stat.modified.getTime() };
    });
    oldest = [...oldest, ...found].sort((one, other) => one.used - other.used).slice(0, OLDEST);
  }
  const objects = oldest.map(({ size, used }, id): InventoryObject => ({ id, size, used, isManifest: false }));
  return {
    inventory: takeInventory(objects, []),
    digests: async (ids) => ids.map((id) => oldest[id]?.digest).filter((digest) => digest !== undefined),
  };
}

/** Everything that is linked, tagged or named in the repositories of the patterns, whatever they say of tags. */
async function keptFiles(backend: Backend, patterns: readonly string[]): Promise<ReadonlySet<string>> {
  const kept = new Set<string>();
  for await (const keys of keysBelow(backend, 'repositories/')) {
    for (const key of keys) {
      const { name = '', rest: [family, ...rest] = [] } = repositoryOf(key) ?? {};
      if (!patterns.some((pattern) => matchesImage(pattern, name, undefined))) continue;
      const digest = family === '_links' || family === '_claims' ? digestOfKey(rest) : undefined;
      if (digest !== undefined) kept.add(digest);
      const bytes = family === '_tags' ? (await backend.get(key))?.bytes : undefined;
      const classes = (bytes && parseTagRecord(bytes)?.classes) ?? {};
      for (const entry of Object.values(classes)) kept.add(entry.digest);
    }
  }
  return kept;
}
