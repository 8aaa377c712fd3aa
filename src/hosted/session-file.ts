import { constants } from 'node:fs';
import { readFile, rename } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Algorithm, Digest } from '../oci/digest.ts';
import { hasCode, inDirectory, removeFile, temporaryName, writeTemporary } from '../store/disk.ts';
import { SELF } from '../store/holder.ts';
import { isCount, parseObject, toJson } from '../store/json.ts';
import { OpenFile } from '../store/open-file.ts';
import { PrefixHash } from '../store/prefix-hash.ts';

/** What is noted of an upload session beside its bytes. */
export interface SessionRecord {
  readonly repository: string;
  /** By which the bytes are hashed while they come. */
  readonly algorithm: Algorithm;
  /** Bytes that survive a power cut. */
  readonly size: number;
}

/** The bytes of an upload session, which only grow. Whoever opens it holds the claim on the session. */
export class SessionFile implements AsyncDisposable {
  readonly #stem: string;
  readonly #record: SessionRecord;
  readonly #file: OpenFile;
  #hash: PrefixHash;
  #size: number;
  #settled: number;

  private constructor(stem: string, record: SessionRecord, file: OpenFile, size: number, hash?: PrefixHash) {
    this.#stem = stem;
    this.#record = record;
    this.#file = file;
    this.#size = size;
    this.#settled = record.size;
    this.#hash = hash ?? new PrefixHash(record.algorithm);
  }

  /**
   * The file of a session that `noteSession` began. `hash` is what was hashed of it already. After a start of the
   * machine only what was synced counts, since what follows may never have reached the disk.
   */
  static async open(stem: string, hash?: PrefixHash): Promise<SessionFile | undefined> {
    const found = await readSession(stem);
    if (found === undefined) return undefined;
    const file = await OpenFile.open(`${stem}.part`, constants.O_RDWR | constants.O_CREAT);
    try {
      const there = Number(file.stat().size);
      const size = found.isOfThisBoot ? there : Math.min(there, found.record.size);
      if (size < there) await file.truncate(size);
      const known = hash !== undefined && hash.length <= size ? hash : undefined;
      return new SessionFile(stem, found.record, file, size, known);
    } catch (error) {
      await file.close();
      throw error;
    }
  }

  /** A file of no session yet: nobody finds it before it is settled. */
  static async create(stem: string, record: SessionRecord): Promise<SessionFile> {
    const flags = constants.O_RDWR | constants.O_CREAT | constants.O_EXCL;
    const file = await inDirectory(dirname(stem), () => OpenFile.open(`${stem}.part`, flags));
    return new SessionFile(stem, record, file, 0);
  }

  get repository(): string {
    return this.#record.repository;
  }

  get size(): number {
    return this.#size;
  }

  /** The running hash, for who goes on with this session. */
  get hash(): PrefixHash {
    return this.#hash;
  }

  async append(bytes: Uint8Array): Promise<void> {
    const written = this.#file.write(bytes, this.#size);
    // Hashing on this thread while another one writes; a failed write makes the hash useless.
    const isNext = this.#hash.length === this.#size;
    if (isNext) this.#hash.append(bytes);
    try {
      await written;
      this.#size += bytes.length;
    } catch (error) {
      if (isNext) this.#hash.reset();
      throw error;
    }
  }

  /** Gives up what is there from `size` on. */
  async truncate(size: number): Promise<void> {
    if (this.#hash.length > size) this.#hash.reset();
    await this.#file.truncate(size);
    this.#size = size;
  }

  /** Makes all bytes survive a power cut, and notes that they do. */
  async settle(): Promise<void> {
    if (this.#settled === this.#size) return;
    await this.#file.sync();
    await noteSession(this.#stem, { ...this.#record, size: this.#size });
    this.#settled = this.#size;
  }

  /** The digest of all bytes; reads back what was not hashed while it came. */
  async digest(algorithm: Algorithm): Promise<Digest> {
    if (algorithm !== this.#record.algorithm) this.#hash = new PrefixHash(algorithm);
    while (this.#hash.length < this.#size) await this.#hash.advance(this.#file, this.#size);
    return this.#hash.value;
  }

  /**
   * Ends the session and gives the path of its bytes, for {@link Content.adoptBlob}. Under a name of its own first: a
   * session must never be found that shares its file with what is published.
   */
  async finish(): Promise<string> {
    const path = join(dirname(this.#stem), temporaryName());
    await rename(`${this.#stem}.part`, path);
    await removeFile(`${this.#stem}.json`);
    return path;
  }

  async discard(): Promise<void> {
    await removeSession(this.#stem);
  }

  close(): Promise<void> {
    return this.#file.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

/** Writes what is noted of a session; whole or not at all. */
export async function noteSession(stem: string, record: SessionRecord): Promise<void> {
  await rename(await writeTemporary(dirname(stem), toJson({ ...record, boot: SELF.boot })), `${stem}.json`);
}

/** What is noted of a session, and whether the machine has not been started since. */
export async function readSession(
  stem: string,
): Promise<{ readonly record: SessionRecord; readonly isOfThisBoot: boolean } | undefined> {
  const bytes = await readFile(`${stem}.json`).catch((error: unknown) => {
    if (hasCode(error, 'ENOENT')) return undefined;
    throw error;
  });
  const { repository, algorithm, size, boot } = (bytes && parseObject(bytes)) ?? {};
  if (typeof repository !== 'string' || !isCount(size)) return undefined;
  if (algorithm !== 'sha256' && algorithm !== 'sha512') return undefined;
  return { record: { repository, algorithm, size }, isOfThisBoot: boot !== '' && boot === SELF.boot };
}

export async function removeSession(stem: string): Promise<void> {
  await removeFile(`${stem}.json`);
  await removeFile(`${stem}.part`);
}
