import { randomUUID } from 'node:crypto';
import { constants } from 'node:fs';
import { link, mkdir, readdir, stat, unlink } from 'node:fs/promises';
import { join, sep } from 'node:path';
import { OpenFile } from './open-file.ts';

const TEMPORARY = '.tmp';
/** How often an operation starts over when its directories are removed under it. */
const ATTEMPTS = 20;

/** A new file name that a later sweep of temporary files recognises. */
export function temporaryName(): string {
  return `${randomUUID()}${TEMPORARY}`;
}

/** Whether `error` is a system error with one of `codes`. */
export function hasCode(error: unknown, ...codes: readonly string[]): boolean {
  return error instanceof Error && 'code' in error && codes.includes(String(error.code));
}

/** Opens a file; `undefined` when there is none, or a symbolic link. */
export async function openFound(path: string, flags: number): Promise<OpenFile | undefined> {
  try {
    return await OpenFile.open(path, flags);
  } catch (error) {
    if (hasCode(error, 'ENOENT', 'ELOOP')) return undefined;
    throw error;
  }
}

/** Makes the names in a directory survive a power cut. */
export async function syncDirectory(path: string): Promise<void> {
  await using directory = await OpenFile.open(path, constants.O_RDONLY | constants.O_DIRECTORY);
  await directory.sync();
}

/**
 * Runs `action`, and once more with `directory` made (mode 0700) when it failed because something was not there;
 * `made` learns how many directories that took.
 */
export async function inDirectory<T>(
  directory: string,
  action: () => Promise<T>,
  made?: (count: number) => void,
): Promise<T> {
  try {
    return await action();
  } catch (error) {
    if (!hasCode(error, 'ENOENT')) throw error;
  }
  const first = await mkdir(directory, { recursive: true, mode: 0o700 });
  if (first !== undefined) made?.(directory.slice(first.length).split(sep).length);
  return await action();
}

export interface TemporaryOptions {
  readonly durable?: boolean;
  /** Time of modification, microseconds since the epoch. */
  readonly modified?: number;
}

/** Writes `bytes` to a new file with a random name in `directory` and returns its path; leaves nothing on failure. */
export async function writeTemporary(
  directory: string,
  bytes: Uint8Array,
  options: TemporaryOptions = {},
): Promise<string> {
  const path = join(directory, temporaryName());
  const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL;
  await using file = await inDirectory(directory, () => OpenFile.open(path, flags));
  try {
    await file.write(bytes, 0);
    if (options.modified !== undefined) await file.touch(options.modified);
    if (options.durable === true) await file.sync();
    return path;
  } catch (error) {
    await removeFile(path);
    throw error;
  }
}

/** Gives a file a second name; `false` when that name is taken. */
export async function linkNew(from: string, to: string): Promise<boolean> {
  try {
    await link(from, to);
    return true;
  } catch (error) {
    if (hasCode(error, 'EEXIST')) return false;
    throw error;
  }
}

/** `false` when there was nothing to remove. */
export async function removeFile(path: string): Promise<boolean> {
  try {
    await unlink(path);
    return true;
  } catch (error) {
    if (hasCode(error, 'ENOENT', 'ENOTDIR')) return false;
    throw error;
  }
}

/** Creates a small file durably with all of its content at once; `false` when another process was first. */
export async function createFile(directory: string, name: string, bytes: Uint8Array): Promise<boolean> {
  const temporary = await writeTemporary(directory, bytes, { durable: true });
  try {
    const created = await linkNew(temporary, join(directory, name));
    await syncDirectory(directory);
    return created;
  } finally {
    await removeFile(temporary);
  }
}

/** Removes temporary files that nobody has written to since `olderThan`; returns how many. */
export async function sweepTemporaries(
  directory: string,
  olderThan: Date,
  remove: (path: string) => Promise<boolean> = removeFile,
): Promise<number> {
  const names = await entriesOf(directory);
  let removed = 0;
  for (const name of names.filter((entry) => entry.endsWith(TEMPORARY))) {
    const path = join(directory, name);
    if ((await isOlder(path, olderThan)) && (await remove(path))) removed += 1;
  }
  return removed;
}

export async function isOlder(path: string, than: Date): Promise<boolean> {
  const found = await stat(path).catch(() => undefined);
  return found !== undefined && found.mtimeMs < than.getTime();
}

/** The names in a directory; none when it does not exist. */
export async function entriesOf(directory: string): Promise<readonly string[]> {
  try {
    return await readdir(directory);
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return [];
    throw error;
  }
}

/** Starts over when a directory was removed between two steps. */
export async function persist<T>(action: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await action();
    } catch (error) {
      if (!hasCode(error, 'ENOENT') || attempt === ATTEMPTS) throw error;
    }
  }
}
