import { type BigIntStats, constants } from 'node:fs';
import { copyFile, lstat, rename } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Backend, ObjectStat, PutOptions, StoredObject } from './backend.ts';
import {
  hasCode,
  inDirectory,
  linkNew,
  removeFile,
  sweepTemporaries,
  syncDirectory,
  temporaryName,
  writeTemporary,
} from './disk.ts';
import { listFiles } from './file-listing.ts';
import { KeyedGate } from './gate.ts';
import { assertKey } from './key.ts';
import { OpenFile } from './open-file.ts';

/** How often an operation starts over when its directories are removed under it. */
const ATTEMPTS = 20;
const MAX_SETTLED = 10_000;

/**
 * Objects as files below one directory, mode 0600 in directories of mode 0700. Every directory may be removed at any
 * time. A key cannot be both an object and the beginning of another key. `ifMatch` is exact among the users of one
 * instance; between processes there is a moment between the comparison and the rename. `ifAbsent` is exact everywhere.
 */
export class FileBackend implements Backend {
  readonly #root: string;
  readonly #temporary: string;
  readonly #keys = new KeyedGate();
  /** Directories whose own names, up to the root's, are known to be on disk. */
  readonly #settled = new Set<string>();

  /** `root`: absolute path; made when first needed. */
  constructor(root: string) {
    this.#root = root;
    this.#temporary = join(root, '.tmp');
  }

  async open(key: string): Promise<StoredObject | undefined> {
    const found = await this.#openFile(key);
    return found === undefined ? undefined : new FileObject(found.file, Number(found.stat.size));
  }

  async get(key: string): Promise<{ readonly bytes: Uint8Array; readonly etag: string } | undefined> {
    const found = await this.#openFile(key);
    if (found === undefined) return undefined;
    await using file = found.file;
    const bytes = new Uint8Array(Number(found.stat.size));
    const count = bytes.length === 0 ? 0 : await file.read(bytes, 0);
    return { bytes: bytes.subarray(0, count), etag: etagOf(found.stat) };
  }

  async put(key: string, bytes: Uint8Array, options: PutOptions = {}): Promise<boolean> {
    const target = this.#path(key);
    const durable = options.durable === true;
    return await persist(async () => {
      const temporary = await writeTemporary(this.#temporary, bytes, { durable, modified: nextInstant() });
      try {
        const done = await this.#keys.run(key, () => this.#place(temporary, target, options.condition));
        if (durable) await this.#settle(dirname(target));
        return done;
      } finally {
        await removeFile(temporary);
      }
    });
  }

  async adopt(key: string, path: string): Promise<void> {
    const target = this.#path(key);
    await syncFile(path);
    await persist(async () => {
      try {
        await inDirectory(dirname(target), () => linkNew(path, target));
      } catch (error) {
        if (!hasCode(error, 'EXDEV')) throw error;
        await this.#copy(path, target);
      }
      await this.#settle(dirname(target));
    });
    await removeFile(path);
  }

  async stat(key: string): Promise<ObjectStat | undefined> {
    const found = await this.#statFile(this.#path(key));
    if (found === undefined) return undefined;
    return { size: Number(found.size), modified: found.mtime, etag: etagOf(found) };
  }

  async remove(key: string, options: { readonly durable?: boolean } = {}): Promise<boolean> {
    const target = this.#path(key);
    const removed = await this.#keys.run(key, () => removeFile(target));
    if (removed && options.durable === true) await syncDirectory(dirname(target));
    return removed;
  }

  async list(
    prefix: string,
    options: { readonly after?: string; readonly limit?: number } = {},
  ): Promise<readonly string[]> {
    return await listFiles(this.#root, { prefix, after: options.after ?? '', limit: options.limit ?? 1000 });
  }

  /** Removes what crashed processes left in the directory for unfinished writes; returns how many files. */
  async sweep(olderThan: Date): Promise<number> {
    return await sweepTemporaries(this.#temporary, olderThan);
  }

  #path(key: string): string {
    assertKey(key);
    return join(this.#root, key);
  }

  async #openFile(key: string): Promise<{ readonly file: OpenFile; readonly stat: BigIntStats } | undefined> {
    let file: OpenFile;
    try {
      file = await OpenFile.open(this.#path(key), constants.O_RDONLY);
    } catch (error) {
      if (hasCode(error, 'ENOENT', 'ENOTDIR')) return undefined;
      throw error;
    }
    const stat = file.stat();
    if (stat.isFile()) return { file, stat };
    await file.close();
    return undefined;
  }

  async #statFile(path: string): Promise<BigIntStats | undefined> {
    try {
      const found = await lstat(path, { bigint: true });
      return found.isFile() ? found : undefined;
    } catch (error) {
      if (hasCode(error, 'ENOENT', 'ENOTDIR')) return undefined;
      throw error;
    }
  }

  async #place(temporary: string, target: string, condition: PutOptions['condition']): Promise<boolean> {
    if (condition !== undefined && 'ifAbsent' in condition) {
      return await inDirectory(dirname(target), () => linkNew(temporary, target));
    }
    if (condition !== undefined) {
      const found = await this.#statFile(target);
      if (found === undefined || etagOf(found) !== condition.ifMatch) return false;
    }
    await inDirectory(dirname(target), () => rename(temporary, target));
    return true;
  }

  async #copy(path: string, target: string): Promise<void> {
    const temporary = join(this.#temporary, temporaryName());
    const mode = constants.COPYFILE_EXCL | constants.COPYFILE_FICLONE;
    try {
      await inDirectory(this.#temporary, () => copyFile(path, temporary, mode));
      await syncFile(temporary);
      await inDirectory(dirname(target), () => linkNew(temporary, target));
    } finally {
      await removeFile(temporary);
    }
  }

  /** Syncs `directory` and, the first time it is used, the directories that hold its name. */
  async #settle(directory: string): Promise<void> {
    await syncDirectory(directory);
    if (this.#settled.has(directory)) return;
    for (let below = directory; below !== dirname(this.#root); below = dirname(below)) {
      await syncDirectory(dirname(below));
    }
    if (this.#settled.size >= MAX_SETTLED) this.#settled.clear();
    this.#settled.add(directory);
  }
}

class FileObject implements StoredObject {
  readonly size: number;
  readonly #file: OpenFile;

  constructor(file: OpenFile, size: number) {
    this.#file = file;
    this.size = size;
  }

  read(buffer: Uint8Array, position: number): Promise<number> {
    const left = Math.max(0, this.size - position);
    return this.#file.read(left < buffer.length ? buffer.subarray(0, left) : buffer, position);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#file.close();
  }
}

/** Inode numbers are used again, kernel clocks stand still for milliseconds: together with {@link nextInstant} unique. */
function etagOf(stat: BigIntStats): string {
  return `${stat.ino.toString(36)}-${stat.mtimeNs.toString(36)}`;
}

let lastInstant = 0;

/** Microseconds since the epoch, never the same twice; the step outlasts the rounding of seconds as a double. */
function nextInstant(): number {
  lastInstant = Math.max(Date.now() * 1000, lastInstant + 4);
  return lastInstant;
}

async function syncFile(path: string): Promise<void> {
  await using file = await OpenFile.open(path, constants.O_RDONLY);
  await file.chmod(0o600);
  await file.sync();
}

/** Starts over when a directory was removed between two steps. */
async function persist<T>(action: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await action();
    } catch (error) {
      if (!hasCode(error, 'ENOENT') || attempt === ATTEMPTS) throw error;
    }
  }
}
