import type { Stats } from 'node:fs';
import { lstat } from 'node:fs/promises';
import { hasCode, removeFile } from './disk.ts';
import type { Account } from './space.ts';

/** Bytes that a file takes on disk; 0 when it is not there. */
export async function allocatedAt(path: string): Promise<number> {
  return ((await statOf(path))?.blocks ?? 0) * 512;
}

/** Removes a file and books what that makes free: nothing while it has another name. `false`: it was not there. */
export async function removeCounted(path: string, account: Account): Promise<boolean> {
  const found = await statOf(path);
  if (found === undefined || !(await removeFile(path))) return false;
  if (found.nlink === 1) account.freed(found.blocks * 512);
  return true;
}

/** `undefined` when nothing is there. */
export async function statOf(path: string): Promise<Stats | undefined> {
  try {
    return await lstat(path);
  } catch (error) {
    if (hasCode(error, 'ENOENT', 'ENOTDIR')) return undefined;
    throw error;
  }
}
