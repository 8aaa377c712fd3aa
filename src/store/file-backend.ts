import { type BigIntStats, constants } from 'node:fs';
import { copyFile, lstat, rename } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { publish } from '../events.ts';
import { allocatedAt, removeCounted } from './allocated.ts';
import type { Backend, ObjectStat, PutOptions, StoredObject } from './backend.ts';
import {
  hasCode,
  inDirectory,
  linkNew,
  persist,
  removeFile,
  sweepTemporaries,
  syncDirectory,
  temporaryName,
  writeTemporary,
} from './disk.ts';
import { listFiles } from './file-listing.ts';
import { FileObject } from './file-object.ts';
import { KeyedGate } from './gate.ts';
import { type Growth, madeIn, mostFor, nameOf } from './growth.ts';
import { assertKey } from './key.ts';
import { OpenFile } from './open-file.ts';
import { type Account, toBlocks, UNLIMITED } from './space.ts';

const MAX_SETTLED = 10_000;

/**
 * Objects as files below one directory, mode 0600 in directories of mode 0700. Every directory may be removed at any
 * time. A key cannot be both an object and the beginning of another key. `ifMatch` is exact among the users of one
 * instance; between processes there is a moment between the comparison and the rename. `ifAbsent` is exact everywhere.
 */
export class FileBackend implements Backend {
  readonly #root: string;
  readonly #temporary: string;
  readonly #account: Account;
  readonly #keys = new KeyedGate();
  /** Keys of objects that the disk could not read, and could not remove so far. */
  readonly #damaged = new Set<string>();
  /** Directories whose own names, up to the root's, are known to be on disk. */
  readonly #settled = new Set<string>();

  /** `root`: absolute path; made when first needed. What is put is reserved in the `account`, what is adopted was. */
  constructor(root: string, account = UNLIMITED) {
    this.#root = root;
    this.#account = account;
    this.#temporary = join(root, '.tmp');
  }

  async open(key: string): Promise<StoredObject | undefined> {
    const found = await this.#openFile(key);
    return (
      found &&
      new FileObject(found.file, Number(found.stat.size), async (error) => {
        await this.#drop(key, error);
        throw error;
      })
    );
  }

  async get(key: string): Promise<{ readonly bytes: Uint8Array; readonly etag: string } | undefined> {
    const found = await this.#openFile(key);
    if (found === undefined) return undefined;
    await using file = found.file;
    const bytes = new Uint8Array(Number(found.stat.size));
    try {
      const count = bytes.length === 0 ? 0 : await file.read(bytes, 0);
      return { bytes: bytes.subarray(0, count), etag: etagOf(found.stat) };
    } catch (error) {
      return this.#drop(key, error);
    }
  }

  async put(key: string, bytes: Uint8Array, options: PutOptions = {}): Promise<boolean> {
    const target = this.#path(key);
    const durable = options.durable === true;
    return await this.#charged(key, bytes.length, async (growth) => {
      const temporary = await writeTemporary(this.#temporary, bytes, { durable, modified: nextInstant() });
      try {
        const done = await this.#keys.run(key, () => this.#place(temporary, target, growth, options.condition));
        if (done) growth.bytes += toBlocks(bytes.length);
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
    await this.#charged(key, 0, async (growth) => {
      try {
        const isNew = await inDirectory(dirname(target), () => linkNew(path, target), madeIn(growth));
        if (isNew) growth.bytes += nameOf(target);
        else growth.bytes -= await allocatedAt(path);
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
    if (found === undefined || this.#damaged.has(key)) return undefined;
    return { size: Number(found.size), modified: found.mtime, etag: etagOf(found) };
  }

  async remove(key: string, options: { readonly durable?: boolean } = {}): Promise<boolean> {
    const target = this.#path(key);
    const removed = await this.#keys.run(key, () => removeCounted(target, this.#account));
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
    return await sweepTemporaries(this.#temporary, olderThan, (path) => removeCounted(path, this.#account));
  }

  #path(key: string): string {
    assertKey(key);
    return join(this.#root, key);
  }

  async #openFile(key: string): Promise<{ readonly file: OpenFile; readonly stat: BigIntStats } | undefined> {
    if (this.#damaged.has(key)) return undefined;
    const opening = OpenFile.open(this.#path(key), constants.O_RDONLY);
    const file = await opening.catch((error: unknown) => this.#drop(key, error));
    if (file === undefined) return undefined;
    const stat = file.stat();
    if (stat.isFile()) return { file, stat };
    await file.close();
    return undefined;
  }

  /** What the disk cannot read counts as absent, also where it cannot be removed. Throws other errors than that. */
  async #drop(key: string, error: unknown): Promise<undefined> {
    if (hasCode(error, 'ENOENT', 'ENOTDIR')) return;
    if (!hasCode(error, 'EIO')) throw error;
    this.#damaged.add(key);
    const message = 'the disk cannot read a stored object, which is fetched again when it is asked for';
    publish('notice', { level: 'error', message, error, fields: { key } });
    await this.#clear(key).catch(this.#account.failed);
  }

  async #clear(key: string): Promise<void> {
    if (!this.#damaged.has(key)) return;
    await this.remove(key);
    this.#damaged.delete(key);
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

  async #place(
    temporary: string,
    target: string,
    growth: Growth,
    condition: PutOptions['condition'],
  ): Promise<boolean> {
    if (condition !== undefined && 'ifAbsent' in condition) {
      const isNew = await inDirectory(dirname(target), () => linkNew(temporary, target), madeIn(growth));
      if (isNew) growth.bytes += nameOf(target);
      return isNew;
    }
    const found = await this.#statFile(target);
    if (condition !== undefined && (found === undefined || etagOf(found) !== condition.ifMatch)) return false;
    await inDirectory(dirname(target), () => rename(temporary, target), madeIn(growth));
    growth.bytes += found === undefined ? nameOf(target) : -Number(found.blocks) * 512;
    return true;
  }

  /** Reserves what a new object under `key` takes at most, and books what it took. Starts over as {@link persist} does. */
  async #charged<T>(key: string, bytes: number, action: (growth: Growth) => Promise<T>): Promise<T> {
    const reservation = await this.#account.record(mostFor(key, bytes));
    const growth = { bytes: 0 };
    try {
      await this.#clear(key);
      return await persist(() => action(growth));
    } catch (error) {
      this.#account.failed(error);
      throw error;
    } finally {
      reservation.keep(growth.bytes);
    }
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
