import { rename } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { algorithmOf, type Digest } from '../oci/digest.ts';
import type { ByteRange } from '../oci/range.ts';
import { removeFile, temporaryName, writeTemporary } from './disk.ts';
import { Extents } from './extents.ts';
import { Gate } from './gate.ts';
import type { OpenFile } from './open-file.ts';
import { PrefixHash } from './prefix-hash.ts';
import { formatSidecar, type Sidecar, type SpoolPaths } from './sidecar.ts';

/**
 * An object on its way in: bytes at any positions, and what is known about them. Bytes once written never change, so
 * that readers may follow closely. Content is trusted by nobody until `digest()` says so.
 */
export class SpoolFile implements AsyncDisposable {
  /** The digest the whole must have. */
  readonly expected: Digest;
  readonly #sidecarPath: string;
  #path: string;
  readonly #file: OpenFile;
  readonly #onGone: () => void;
  /** Writes and hashing take turns: the running hash sees bytes once and in order. */
  readonly #turns = new Gate(1);
  readonly #hash: PrefixHash;
  #extents = Extents.NONE;
  #size: number | undefined;
  #state: 'open' | 'finished' | 'discarded' = 'open';
  #advancing: Promise<void> | undefined;
  #saving: Promise<void> = Promise.resolve();
  #nextSave: Promise<void> | undefined;
  #closing: Promise<void> | undefined;
  /** Asked before anything is written: while another process has the claim, the file and its names are its own. */
  isHeld: () => boolean = () => true;

  /** `onGone` is called when the digest's place in the spool is free again. */
  constructor(expected: Digest, paths: SpoolPaths, file: OpenFile, onGone: () => void) {
    this.expected = expected;
    this.#path = paths.part;
    this.#sidecarPath = paths.sidecar;
    this.#file = file;
    this.#onGone = onGone;
    this.#hash = new PrefixHash(algorithmOf(expected));
  }

  /** The bytes that are there, as of now. */
  get extents(): Extents {
    return this.#extents;
  }

  /** How many bytes from position 0 the running hash covers. */
  get verifiedPrefix(): number {
    return Math.min(this.#hash.length, this.#extents.prefix());
  }

  /** Which file it is, as long as it is open. */
  get inode(): bigint {
    return this.#file.stat().ino;
  }

  /** Bytes of the whole object; `undefined` until it is set, and it can be set to one value only. */
  get size(): number | undefined {
    return this.#size;
  }

  set size(value: number) {
    if (this.#size !== undefined && this.#size !== value) throw new Error(`the size is ${this.#size}, not ${value}`);
    if (value < this.#extents.end) throw new Error(`there are ${this.#extents.end} bytes already, more than ${value}`);
    this.#size = value;
  }

  /** Bytes on disk as of now; 0 when it is closed. */
  get allocated(): number {
    return this.#closing === undefined ? this.#file.allocated() : 0;
  }

  /** Whether all bytes are there. */
  get complete(): boolean {
    return this.#size !== undefined && this.#extents.prefix() === this.#size;
  }

  /** The process that has the claim says that it has the bytes from the beginning on up to `prefix`. */
  told(prefix: number): void {
    this.#extents = this.#extents.add({ start: 0, end: prefix });
  }

  /**
   * Whether another process found it to be whole and right: such a file leaves its place in the spool under another
   * name, and one that is given up has none any more.
   */
  async isFinishedElsewhere(): Promise<boolean> {
    return !this.isHeld() && !(await this.#file.isAt(this.#path)) && this.#file.hasName();
  }

  /** Takes over what an earlier process knew; `false` when the bytes on disk are not those it had hashed. */
  async restore(sidecar: Sidecar, fileSize: number): Promise<boolean> {
    const { length, hash } = sidecar.verified;
    this.#extents = sidecar.extents.clip(fileSize);
    this.#size = sidecar.size;
    const comparable = Math.min(length, this.#extents.prefix());
    while (this.#hash.length < comparable) await this.#hash.advance(this.#file, comparable);
    if (comparable === length && length > 0 && this.#hash.value !== hash) return false;
    await this.hashPrefix();
    return true;
  }

  /**
   * Writes what is not there yet of `bytes` at `position`, and hashes it when it continues the prefix. The buffer is
   * the caller's again when the promise has settled.
   */
  async write(bytes: Uint8Array, position: number): Promise<void> {
    const end = position + bytes.length;
    await this.#turns.run(async () => {
      if (this.#state === 'finished') throw new Error('the object is finished');
      if (this.#size !== undefined && end > this.#size) throw new RangeError(`byte ${end} of ${this.#size}`);
      // Of its full length from the start, so that no file system (XFS) allocates ahead of what is written.
      if (this.#size !== undefined && this.#extents.bytes === 0) await this.#file.truncate(this.#size);
      for (const gap of this.#extents.gaps(end, position)) {
        await this.#fill(gap, bytes.subarray(gap.start - position, gap.end - position));
      }
    });
    if (this.#hash.length < this.#extents.prefix()) this.hashPrefix().catch(ignore);
  }

  /** Reads what is there from `position` on, up to the end of its extent; 0 when there is nothing (yet). */
  async read(buffer: Uint8Array, position: number): Promise<number> {
    const extent = this.#extents.next(position);
    if (extent === undefined || extent.start > position) return 0;
    const length = Math.min(buffer.length, extent.end - position);
    return await this.#file.read(length < buffer.length ? buffer.subarray(0, length) : buffer, position);
  }

  /** Resolves when the running hash covers all of the contiguous prefix; reads back what came out of order. */
  async hashPrefix(): Promise<void> {
    while (this.#hash.length < this.#extents.prefix()) {
      this.#advancing ??= this.#turns
        .run(() => this.#hash.advance(this.#file, this.#extents.prefix()))
        .finally(() => {
          this.#advancing = undefined;
        });
      await this.#advancing;
    }
  }

  /** The digest of the whole. Throws unless everything is there and hashed. */
  digest(): Digest {
    const hashed = this.verifiedPrefix;
    if (hashed !== this.#size) throw new Error(`${hashed} of ${this.#size ?? 'unknown'} bytes are hashed`);
    return this.#hash.value;
  }

  /** Saves what is known, so that another process can go on from here. Calls during a save share the next one. */
  checkpoint(): Promise<void> {
    if (this.#nextSave === undefined) {
      const save = this.#saving.catch(ignore).then(() => {
        this.#nextSave = undefined;
        return this.#save();
      });
      this.#nextSave = save;
      this.#saving = save;
    }
    return this.#nextSave;
  }

  /**
   * Verifies, makes the bytes durable and gives the path for {@link Backend.adopt}; nothing is written afterwards,
   * the digest's place in the spool is free, and readers can go on. After a failure it can only be discarded.
   */
  async finish(): Promise<string> {
    await this.hashPrefix();
    const digest = this.digest();
    if (digest !== this.expected) throw new Error(`expected ${this.expected}, got ${digest}`);
    this.#state = 'finished';
    await this.#turns.run(() => this.#file.truncate(this.#hash.length));
    await this.#file.sync();
    await this.#saving.catch(ignore);
    if (!(await this.#isOurs())) throw new Error('the spool file was removed');
    const finished = join(dirname(this.#path), temporaryName());
    await rename(this.#path, finished);
    this.#path = finished;
    await removeFile(this.#sidecarPath);
    this.#onGone();
    return finished;
  }

  /** Gives the bytes up. Who has the file open can still read it, until `close`. */
  async discard(): Promise<void> {
    const parked = this.#state === 'open';
    this.#state = 'discarded';
    await this.#saving.catch(ignore);
    if (await this.#isOurs()) {
      if (parked) await removeFile(this.#sidecarPath);
      await removeFile(this.#path);
    }
    this.#onGone();
  }

  /** Parks the object as of the last checkpoint, which the caller makes. */
  close(): Promise<void> {
    this.#closing ??= this.#saving
      .catch(ignore)
      .then(() => this.#turns.run(() => this.#file.close()))
      .then(this.#onGone);
    return this.#closing;
  }

  /** Settles when a `close` that was begun is over. */
  get closing(): Promise<void> | undefined {
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #isOurs(): Promise<boolean> {
    return (await this.#file.isAt(this.#path)) && this.isHeld();
  }

  async #fill(gap: ByteRange, bytes: Uint8Array): Promise<void> {
    if (!this.isHeld()) throw new Error('another process has the file');
    const written = this.#file.write(bytes, gap.start);
    // Hashing on this thread while another one writes; a failed write makes the hash useless.
    if (gap.start === this.#hash.length) this.#hash.append(bytes);
    try {
      await written;
    } catch (error) {
      if (gap.end === this.#hash.length) this.#hash.reset();
      throw error;
    }
    this.#extents = this.#extents.add(gap);
  }

  async #save(): Promise<void> {
    if (this.#state !== 'open' || !(await this.#isOurs())) return;
    const bytes = await this.#turns.run(async () => formatSidecar(this.#sidecar()));
    await rename(await writeTemporary(dirname(this.#sidecarPath), bytes), this.#sidecarPath);
  }

  #sidecar(): Sidecar {
    return {
      digest: this.expected,
      ...(this.#size !== undefined && { size: this.#size }),
      extents: this.#extents,
      verified: { length: this.#hash.length, hash: this.#hash.value },
    };
  }
}

function ignore(): void {}
