import { link, mkdtemp, readFile, rm, stat, statfs, writeFile } from 'node:fs/promises';
import { userInfo } from 'node:os';
import { dirname, join } from 'node:path';
import type { Config } from '../config/config.ts';
import type { Kind, StorageFacts } from './storage.ts';

/** Types of statfs(2). */
const KINDS: ReadonlyMap<number, Kind> = new Map([
  [0x01021994, 'memory'],
  [0x858458f6, 'memory'],
  [0x6969, 'network'],
  [0xff534d42, 'network'],
  [0xfe534d42, 'network'],
  [0x01021997, 'network'],
  [0x794c7630, 'layer'],
]);

/** Tries the file system that the cache lies on, or will lie on. `pid`: the gateway, where it runs. */
export async function probeStorage(
  { storage }: Pick<Config, 'storage'>,
  pid: number | undefined,
): Promise<StorageFacts> {
  const { root, size, reserve } = storage;
  const place = await existing(root);
  const { type, blocks, bavail, bsize, files, ffree } = await statfs(place);
  const openFiles = await openFilesOf(pid);
  return {
    root,
    size,
    reserve,
    place,
    ...(await trial(place)),
    kind: KINDS.get(type >>> 0) ?? 'disk',
    total: blocks * bsize,
    free: bavail * bsize,
    ...(files > 0 && { freeNodes: ffree }),
    together: await areTogether(join(root, 'cache'), join(root, 'spool')),
    ...(openFiles !== undefined && { openFiles }),
    user: userInfo().username,
  };
}

async function existing(path: string): Promise<string> {
  const found = await stat(path).catch(() => undefined);
  return found?.isDirectory() === true || dirname(path) === path ? path : existing(dirname(path));
}

/** Makes files as the store does, in a directory of their own, and removes them. */
async function trial(place: string): Promise<Pick<StorageFacts, 'unwritable' | 'hardLinks' | 'foldsCase'>> {
  let dir: string | undefined;
  try {
    dir = await mkdtemp(join(place, '.layover-doctor-'));
    const file = join(dir, 'a');
    await writeFile(file, 'a', { flush: true });
    const hardLinks = await succeeds(link(file, join(dir, 'b')));
    return { hardLinks, foldsCase: await succeeds(stat(join(dir, 'A'))) };
  } catch (error) {
    const unwritable = error instanceof Error && 'code' in error ? String(error.code) : String(error);
    return { unwritable, hardLinks: false, foldsCase: false };
  } finally {
    if (dir !== undefined) await rm(dir, { recursive: true, force: true }).catch(() => {});
  }
}

async function succeeds(attempt: Promise<unknown>): Promise<boolean> {
  return attempt.then(
    () => true,
    () => false,
  );
}

async function areTogether(...paths: readonly string[]): Promise<boolean> {
  const found = await Promise.all(paths.map((path) => stat(path).catch(() => undefined)));
  return new Set(found.flatMap((stats) => stats?.dev ?? [])).size < 2;
}

/** Of Linux: what a process may come to, since Node takes as many as it may. */
async function openFilesOf(pid: number | undefined): Promise<number | undefined> {
  const limits = await readFile(`/proc/${pid ?? 'self'}/limits`, 'utf8').catch(() => '');
  const [, most] = /^Max open files\s+\S+\s+(\d+)/m.exec(limits) ?? [];
  return most === undefined ? undefined : Number(most);
}
