import type { Dirent } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { allocatedAt, statOf } from '../store/allocated.ts';
import { hasCode } from '../store/disk.ts';

/** Files whose size is asked for at the same time. */
const BATCH = 32;

/**
 * Bytes that everything below `directories` takes on disk, a file with several names once. Rests for `pause`
 * milliseconds (1) after every 32 entries, so that pulls go on beside it.
 */
export async function countAllocated(
  directories: readonly string[],
  { pause = 1, signal }: { readonly pause?: number; readonly signal?: AbortSignal } = {},
): Promise<number> {
  const seen = new Set<string>();
  const waiting = [...directories];
  let total = 0;
  for (let path = waiting.pop(); path !== undefined; path = waiting.pop()) {
    total += await allocatedAt(path);
    const entries = await entriesIn(path);
    for (let at = 0; at < entries.length; at += BATCH) {
      const batch = entries.slice(at, at + BATCH).map((entry) => [entry, join(entry.parentPath, entry.name)] as const);
      const files = batch.filter(([entry]) => !entry.isDirectory());
      for (const bytes of await Promise.all(files.map(([, file]) => countOnce(file, seen)))) total += bytes;
      waiting.push(...batch.filter(([entry]) => entry.isDirectory()).map(([, directory]) => directory));
      await sleep(pause, undefined, { ...(signal && { signal }) });
    }
  }
  return total;
}

async function countOnce(path: string, seen: Set<string>): Promise<number> {
  const found = await statOf(path);
  if (found === undefined) return 0;
  const id = `${found.dev} ${found.ino}`;
  if (found.nlink > 1 && seen.has(id)) return 0;
  if (found.nlink > 1) seen.add(id);
  return found.blocks * 512;
}

async function entriesIn(path: string): Promise<readonly Dirent[]> {
  try {
    return await readdir(path, { withFileTypes: true });
  } catch (error) {
    if (hasCode(error, 'ENOENT', 'ENOTDIR')) return [];
    throw error;
  }
}
