import { constants } from 'node:fs';
import { lstat, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { publish } from '../events.ts';
import { algorithmOf, type Digest, digestOf, encodedOf, parseDigest } from '../oci/digest.ts';
import { allocatedAt, removeCounted } from './allocated.ts';
import { entriesOf, hasCode, inDirectory, isOlder, openFound, sweepTemporaries } from './disk.ts';
import { Extents } from './extents.ts';
import { OpenFile } from './open-file.ts';
import { parseSidecar, type Sidecar, type SpoolPaths } from './sidecar.ts';
import { type Account, UNLIMITED } from './space.ts';
import { SpoolFile } from './spool-file.ts';

/** What is known of a file of which nothing was saved; as the hash of no bytes any will do, since none are compared. */
const NOTHING = { extents: Extents.NONE, verified: { length: 0, hash: digestOf(Buffer.alloc(0)) } };

/** A spool file that lies there, open or not. */
export interface ParkedFile {
  readonly digest: Digest;
  /** Bytes on disk; holes take none. */
  readonly bytes: number;
  /** Last write. */
  readonly modified: Date;
}

/** The local directory of objects on their way in. Who may fill a digest is not decided here but by a claim. */
export class Spool {
  readonly #directory: string;
  readonly #account: Account;
  readonly #open = new Map<Digest, { file?: SpoolFile }>();

  /**
   * `directory`: absolute path; made when first needed. The `account` learns what is removed here; what is written, and
   * what a file of the spool leaves behind, is for its user to reserve.
   */
  constructor(directory: string, account = UNLIMITED) {
    this.#directory = directory;
    this.#account = account;
  }

  /**
   * The spool file for `digest`: what the last checkpoint knew, provided the bytes on disk still hash to it, else an
   * empty one. `told`: how many bytes from the beginning on others may have read since, which stay. Throws when it is
   * open already (and not just closing, finished, removed from the directory, or lost to another process). Another
   * process that has it open would lose its file: whoever calls this holds the claim on the digest.
   */
  async open(digest: Digest, told = 0): Promise<SpoolFile> {
    const paths = this.#paths(digest);
    const holder = this.#open.get(digest);
    await holder?.file?.closing;
    const isRemoved = async (): Promise<boolean> => (await lstat(paths.part).catch(() => undefined)) === undefined;
    const isFree = holder?.file !== undefined && (!holder.file.isHeld() || (await isRemoved()));
    if (this.#open.get(digest) !== (isFree ? holder : undefined)) throw new Error(`${digest} is open in the spool`);
    const place: { file?: SpoolFile } = {};
    this.#open.set(digest, place);
    const free = (): void => {
      if (this.#open.get(digest) === place) this.#open.delete(digest);
    };
    try {
      const file = (await resume(digest, paths, told, free)) ?? (await this.#create(digest, paths, free));
      place.file = file;
      return file;
    } catch (error) {
      free();
      throw error;
    }
  }

  /** What another process has of `digest`, to be read as far as that tells of it. */
  async view(digest: Digest): Promise<SpoolFile | undefined> {
    const paths = this.#paths(digest);
    const file = await openFound(paths.part, constants.O_RDONLY);
    const view = file && new SpoolFile(digest, paths, file, () => undefined);
    if (view !== undefined) view.isHeld = () => false;
    return view;
  }

  /** Bytes that lie on disk for `digest`. */
  async measure(digest: Digest): Promise<number> {
    const { part, sidecar } = this.#paths(digest);
    return (await allocatedAt(part)) + (await allocatedAt(sidecar));
  }

  /** Everything that lies in the spool, without opening it. */
  async list(): Promise<readonly ParkedFile[]> {
    const names = await entriesOf(this.#directory);
    const files: ParkedFile[] = [];
    for (const name of names) {
      const digest = digestOfName(name, '.part');
      const found = digest && (await stat(join(this.#directory, name)).catch(() => undefined));
      if (digest && found) files.push({ digest, bytes: found.blocks * 512, modified: found.mtime });
    }
    return files;
  }

  /**
   * Removes what is kept of a digest, unless it is open here; returns the allocated bytes that became free. Whoever
   * calls this holds the claim on the digest.
   */
  async drop(digest: Digest): Promise<number> {
    if (this.#open.has(digest)) return 0;
    const { part, sidecar } = this.#paths(digest);
    const bytes = (await allocatedAt(part)) + (await allocatedAt(sidecar));
    await removeCounted(sidecar, this.#account);
    await removeCounted(part, this.#account);
    return bytes;
  }

  /**
   * Removes what crashed processes left: temporary files, and halves of a pair, without a write since `olderThan`;
   * returns how many files.
   */
  async sweep(olderThan: Date): Promise<number> {
    const remove = (path: string): Promise<boolean> => removeCounted(path, this.#account);
    let removed = await sweepTemporaries(this.#directory, olderThan, remove);
    const names = new Set(await entriesOf(this.#directory));
    for (const name of names) {
      const digest = digestOfName(name, '.part') ?? digestOfName(name, '.json');
      const other = name.endsWith('.part') ? name.replace(/part$/, 'json') : name.replace(/json$/, 'part');
      if (digest === undefined || names.has(other) || this.#open.has(digest)) continue;
      const path = join(this.#directory, name);
      if ((await isOlder(path, olderThan)) && (await remove(path))) removed += 1;
    }
    return removed;
  }

  #paths(digest: Digest): SpoolPaths {
    const known = parseDigest(digest);
    if (known === undefined) throw new Error('not a digest');
    const stem = join(this.#directory, `${algorithmOf(known)}-${encodedOf(known)}`);
    return { part: `${stem}.part`, sidecar: `${stem}.json` };
  }

  async #create(digest: Digest, paths: SpoolPaths, free: () => void): Promise<SpoolFile> {
    // Never truncated in place: after a crash the file may be a second name of committed content.
    await removeCounted(paths.sidecar, this.#account);
    await removeCounted(paths.part, this.#account);
    const flags = constants.O_RDWR | constants.O_CREAT | constants.O_EXCL;
    const file = await inDirectory(this.#directory, () => OpenFile.open(paths.part, flags));
    return new SpoolFile(digest, paths, file, free);
  }
}

async function resume(
  digest: Digest,
  paths: SpoolPaths,
  told: number,
  free: () => void,
): Promise<SpoolFile | undefined> {
  const known = (await readSidecar(paths.sidecar)) ?? (told > 0 ? { digest, ...NOTHING } : undefined);
  if (known?.digest !== digest) return undefined;
  const sidecar = { ...known, extents: known.extents.add({ start: 0, end: told }) };
  const file = await openFound(paths.part, constants.O_RDWR);
  if (file === undefined) return undefined;
  try {
    const { nlink, size } = file.stat();
    const resumed = new SpoolFile(digest, paths, file, free);
    if (nlink === 1n && (await resumed.restore(sidecar, Number(size)))) return resumed;
    publish('notice', {
      level: 'warn',
      message: 'a partial download does not verify and is dropped',
      fields: { digest },
    });
  } catch (error) {
    publish('notice', {
      level: 'warn',
      message: 'a partial download cannot be read and is dropped',
      error,
      fields: { digest },
    });
  }
  await file.close();
  return undefined;
}

async function readSidecar(path: string): Promise<Sidecar | undefined> {
  try {
    return parseSidecar(await readFile(path));
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return undefined;
    throw error;
  }
}

function digestOfName(name: string, suffix: string): Digest | undefined {
  return name.endsWith(suffix) ? parseDigest(name.slice(0, -suffix.length).replace('-', ':')) : undefined;
}
