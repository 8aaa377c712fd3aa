import type { Dirent } from 'node:fs';
import { lstat, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { hasCode } from './disk.ts';

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
  const shared = new Set<string>();
  const waiting = [...directories];
  let total = 0;
  for (let path = waiting.pop(); path !== undefined; path = waiting.pop()) {
    total += await allocatedAt(path);
    const entries = await entriesIn(path);
    for (let at = 0; at < entries.length; at += BATCH) {
      const batch = entries.slice(at, at + BATCH).map((entry) => [entry, join(entry.parentPath, entry.name)] as const);
      const files = batch.filter(([entry]) => !entry.isDirectory());
      for (const bytes of await Promise.all(files.map(([, file]) => allocatedAt(file, shared)))) total += bytes;
      waiting.push(...batch.filter(([entry]) => entry.isDirectory()).map(([, directory]) => directory));
      await sleep(pause, undefined, { ...(signal && { signal }) });
    }
  }
  return total;
}

/** Bytes that one file takes on disk; 0 when it is not there, or when `shared` has it already. */
export async function allocatedAt(path: string, shared?: Set<string>): Promise<number> {
  try {
    const { blocks, nlink, dev, ino } = await lstat(path);
    if (shared === undefined || nlink === 1) return blocks * 512;
    const id = `${dev} ${ino}`;
    if (shared.has(id)) return 0;
    shared.add(id);
    return blocks * 512;
  } catch (error) {
    if (hasCode(error, 'ENOENT', 'ENOTDIR')) return 0;
    throw error;
  }
}

async function entriesIn(path: string): Promise<readonly Dirent[]> {
  try {
    return await readdir(path, { withFileTypes: true });
  } catch (error) {
    if (hasCode(error, 'ENOENT', 'ENOTDIR')) return [];
    throw error;
  }
}
