import { publish } from '../events.ts';
import type { ByteRange } from '../oci/range.ts';
import type { SpoolFile } from '../store/spool-file.ts';
import { UpstreamError } from '../upstream/contract.ts';
import { Changes } from './changes.ts';
import { SpoolFailed } from './fetcher.ts';
import { HELD_BACK } from './verification.ts';

/** The bytes of a blob on its way in, as its readers see them. */
export class GrowingBlob {
  /** Bytes. */
  readonly size: number;
  readonly #changes = new Changes();
  #file: SpoolFile;
  #isVerified = false;
  #isRenewing = false;
  #failure: Error | undefined;
  #generation = 0;

  constructor(size: number, file: SpoolFile) {
    this.size = size;
    this.#file = file;
  }

  get file(): SpoolFile {
    return this.#file;
  }

  /** Counts fresh starts: what was read before one is not what is read after it. */
  get generation(): number {
    return this.#generation;
  }

  get isVerified(): boolean {
    return this.#isVerified;
  }

  /** How many bytes there are from the beginning on. */
  get prefix(): number {
    return this.#isRenewing ? 0 : this.#file.extents.prefix();
  }

  /** Whether every byte of the range may be read without waiting. */
  has(range: ByteRange): boolean {
    return !this.#isRenewing && this.#file.extents.has(range);
  }

  /**
   * Reads what is there at `position`, up to the held-back end unless `unverified`; waits for what is not, after
   * telling `missing`. Rejects when it will not come.
   */
  async read(
    buffer: Uint8Array,
    position: number,
    options: { readonly unverified: boolean; readonly missing?: () => void },
    signal: AbortSignal,
  ): Promise<number> {
    for (;;) {
      signal.throwIfAborted();
      const released = this.#isVerified || options.unverified ? this.size : this.size - HELD_BACK;
      const end = this.#isRenewing ? position : Math.min(this.#file.extents.endOf(position), released);
      if (end > position) return this.#readFile(buffer.subarray(0, Math.min(buffer.length, end - position)), position);
      if (this.#failure !== undefined) throw this.#failure;
      options.missing?.();
      await this.#changes.next(signal);
    }
  }

  /** Resolves once the whole blob is there and is what its digest says; rejects when it will not be. */
  async whenVerified(signal: AbortSignal): Promise<void> {
    while (!this.#isVerified) {
      signal.throwIfAborted();
      if (this.#failure !== undefined) throw this.#failure;
      await this.#changes.next(signal);
    }
  }

  /** Tells the readers that there is more. */
  announce(): void {
    this.#changes.announce();
  }

  /** Gives the held-back end free. */
  verified(): void {
    this.#isVerified = true;
    this.#changes.announce();
  }

  fail(error: Error): void {
    this.#failure = error;
    this.#changes.announce();
  }

  /** What there was is wrong, or lost: nothing of it is given out any more. */
  beginAnew(): void {
    this.#generation++;
    this.#isRenewing = true;
  }

  /**
   * Goes on in `file`. Where that is another one, or fewer bytes than were given out were `kept` as they were, those who
   * have read begin anew.
   */
  goOn(file: SpoolFile, kept = file.extents.prefix()): void {
    const before = this.#file;
    if (!this.#isRenewing && (file.inode !== before.inode || kept < before.extents.prefix())) this.beginAnew();
    this.#file = file;
    this.#isRenewing = false;
    this.#changes.announce();
    if (before !== file) this.close(before);
  }

  async close(file = this.#file): Promise<void> {
    try {
      await file.close();
    } catch (error) {
      publish('notice', { level: 'warn', message: 'cannot close a spool file', error });
    }
  }

  async #readFile(buffer: Uint8Array, position: number): Promise<number> {
    const generation = this.#generation;
    try {
      const read = await this.#file.read(buffer, position);
      if (read > 0 && generation === this.#generation) return read;
    } catch (cause) {
      throw this.#failure ?? new SpoolFailed('cannot read from the spool', { cause });
    }
    throw this.#failure ?? beganAnew();
  }
}

/** What a reader learns whose first bytes were wrong. */
export function beganAnew(): UpstreamError {
  return new UpstreamError('unreachable', 'the blob began anew from another source');
}
