import type { Dirent } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { hasCode } from './disk.ts';
import { assertKey, isKeyComponent } from './key.ts';

export interface Wanted {
  readonly prefix: string;
  readonly after: string;
  readonly limit: number;
}

/** The keys below `root` that are wanted, in byte order; reads only directories that can hold one. */
export async function listFiles(root: string, wanted: Wanted): Promise<readonly string[]> {
  const base = wanted.prefix.slice(0, wanted.prefix.lastIndexOf('/') + 1);
  if (base !== '') assertKey(base.slice(0, -1));
  const keys: string[] = [];
  await collect(root, base, wanted, keys);
  return keys;
}

async function collect(root: string, base: string, wanted: Wanted, keys: string[]): Promise<void> {
  for (const name of await namesIn(join(root, base))) {
    if (keys.length >= wanted.limit) return;
    const key = base + name;
    if (!name.endsWith('/')) {
      if (key.startsWith(wanted.prefix) && key > wanted.after) keys.push(key);
    } else if (mayHold(key, wanted)) await collect(root, key, wanted, keys);
  }
}

/** Whether keys below `directory` can begin with the prefix and sort after `after`. */
function mayHold(directory: string, { prefix, after }: Wanted): boolean {
  const inPrefix = directory.startsWith(prefix) || prefix.startsWith(directory);
  return inPrefix && (directory > after || after.startsWith(directory));
}

/** What is in a directory, in the byte order of keys: a directory sorts by its name with the slash. */
async function namesIn(directory: string): Promise<string[]> {
  let entries: Dirent[];
  try {
    entries = await readdir(directory, { withFileTypes: true });
  } catch (error) {
    if (hasCode(error, 'ENOENT', 'ENOTDIR')) return [];
    throw error;
  }
  const known = entries.filter((entry) => isKeyComponent(entry.name) && (entry.isFile() || entry.isDirectory()));
  return known.map((entry) => (entry.isDirectory() ? `${entry.name}/` : entry.name)).sort();
}
