import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { lstat, readdir, readFile } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { pipeline } from 'node:stream/promises';
import { setTimeout as sleep } from 'node:timers/promises';

/** A file that stands for content: its name is the digest of what is to be in it. */
export interface Published {
  readonly path: string;
  readonly digest: string;
  readonly size: number;
  /** No second name of it is left: the gateway was through with publishing it. */
  readonly isSettled: boolean;
}

/** Everything that a data directory has published. */
export async function publishedIn(data: string): Promise<Published[]> {
  const found: Published[] = [];
  for (const path of await filesBelow(join(data, 'cache', 'blobs'))) {
    const [algorithm = '', , hex = ''] = relative(join(data, 'cache', 'blobs'), path).split('/');
    const stat = await lstat(path).catch(() => undefined);
    if (stat === undefined) continue;
    found.push({ path, digest: `${algorithm}:${hex}`, size: stat.size, isSettled: stat.nlink === 1 });
  }
  return found;
}

/** Where the index and the files disagree about the size of content; what the index does not know yet is no mistake. */
export async function misjudgedIn(data: string): Promise<string[]> {
  const told = sizesIn(join(data, 'index', 'content.sqlite'));
  return (await publishedIn(data)).flatMap(({ digest, size }) => {
    const known = told.get(digest.split(':')[1] ?? '');
    return known === undefined || known === size
      ? []
      : [`the index says that ${digest} has ${known} bytes, not ${size}`];
  });
}

/** Sizes by the digests' hexadecimal text, none from an index that is just being made or mended. */
function sizesIn(file: string): ReadonlyMap<string, unknown> {
  try {
    using index = new DatabaseSync(file, { readOnly: true, timeout: 10_000 });
    const rows = index.prepare('SELECT digest, size FROM objects WHERE present > 0 AND size > 0').all();
    return new Map(rows.map(({ digest, size }) => [Buffer.from(digest as Uint8Array).toString('hex'), size]));
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ERR_SQLITE_ERROR') return new Map();
    throw error;
  }
}

/** What is wrong with published files: names that are not the digest of the content. */
export async function wrongOf(published: readonly Published[]): Promise<string[]> {
  const wrong: string[] = [];
  for (const { path, digest, size } of published) {
    const hash = createHash(digest.split(':')[0] ?? '');
    const read = await pipeline(createReadStream(path), hash).then(() => true, ifGone);
    if (!read) continue;
    if (digest.split(':')[1] !== hash.digest('hex')) wrong.push(`published ${digest} has ${size} wrong bytes`);
  }
  return wrong;
}

/** `false` for a file that was evicted meanwhile. */
function ifGone(error: NodeJS.ErrnoException): false {
  if (error.code === 'ENOENT') return false;
  throw error;
}

export async function filesBelow(directory: string): Promise<string[]> {
  const entries = await readdir(directory, { recursive: true, withFileTypes: true }).catch(() => []);
  return entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
}

/** Files of unfinished work, which only a crash leaves behind. */
export async function temporariesIn(data: string): Promise<string[]> {
  return (await filesBelow(data)).filter((path) => path.endsWith('.tmp')).map((path) => relative(data, path));
}

/** Secrets of the imitated registry and of its users, as nobody may write them down. */
const SECRETS = /canary-secret[\w-]*|token-[\w-]{32}|refresh-[\w-]{32}|X-Signature=[0-9a-f]{64}/;

/** Where a secret stands in texts or in the files of a data directory that are no content. */
export async function betrayals(data: string, texts: Readonly<Record<string, string>>): Promise<string[]> {
  const found = Object.entries(texts).flatMap(([place, text]) => betrayalIn(place, text));
  for (const path of await filesBelow(data)) {
    if (path.includes('/cache/blobs/') || path.endsWith('.part')) continue;
    const bytes = await readFile(path).catch(() => Buffer.alloc(0));
    found.push(...betrayalIn(relative(data, path), `${path}\n${bytes.toString('latin1')}`));
  }
  return found;
}

/** The secret in a text, plain or in Base64, if there is one. */
export function betrayalIn(place: string, text: string): string[] {
  const forms = [text, ...(text.match(/[A-Za-z0-9+/]{24,}={0,2}/g) ?? []).map((part) => atobOr(part))];
  const match = forms.map((form) => SECRETS.exec(form)?.[0]).find((secret) => secret !== undefined);
  return match === undefined ? [] : [`a secret stands in ${place}: ${match.slice(0, 20)}…`];
}

function atobOr(text: string): string {
  return Buffer.from(text, 'base64').toString('latin1');
}

/** Waits until `holds`, for at most so many milliseconds; tells whether it came to that. */
export async function within(milliseconds: number, holds: () => boolean | Promise<boolean>): Promise<boolean> {
  const end = performance.now() + milliseconds;
  while (!(await holds())) {
    if (performance.now() > end) return false;
    await sleep(50);
  }
  return true;
}

/** Bytes that the files of a directory take on disk, one with several names once. */
export async function allocatedBelow(directory: string): Promise<number> {
  const inodes = new Map<number, number>();
  for (const path of await filesBelow(directory)) {
    const stat = await lstat(path).catch(() => undefined);
    if (stat !== undefined) inodes.set(stat.ino, stat.blocks * 512);
  }
  return inodes.values().reduce((sum, bytes) => sum + bytes, 0);
}
