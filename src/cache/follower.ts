import type { ByteRange } from '../oci/range.ts';
import { toClientError } from '../upstream/failure.ts';
import { Direct } from './direct.ts';
import { SpoolFailed } from './fetcher.ts';
import type { Fill } from './fill.ts';
import { beganAnew } from './growing-blob.ts';
import type { Source } from './source.ts';
import { HELD_BACK } from './verification.ts';

/** One client's view of a fill: bytes at positions as they come, its own download once the fill's storage fails. */
export class Follower implements AsyncDisposable {
  readonly #fill: Fill;
  readonly #source: Source;
  /** Where it stops, if it does before the end. */
  readonly #end: number | undefined;
  /** Reads ahead of the verified run of bytes: what a range far beyond it asks for. */
  readonly unverified: boolean;
  #generation: number | undefined;
  #reading: Promise<unknown> = Promise.resolve();
  #direct: Direct | undefined;

  private constructor(fill: Fill, source: Source, range: ByteRange) {
    this.#fill = fill;
    this.#source = source;
    this.unverified = range.start > 0 && fill.isFar(range.start);
    this.#end = this.unverified ? range.end : undefined;
    fill.join();
    fill.sources.join(source);
  }

  /** Follows `fill` for `range`, with the reader's own right to the blob as one more source. */
  static follow(fill: Fill, source: Source, range: ByteRange): Follower {
    return new Follower(fill, source, range);
  }

  /** Small bodies are waited for whole, so that their failure is an error and not a broken body. */
  async ready(signal: AbortSignal): Promise<void> {
    if (this.#fill.size > HELD_BACK) return;
    await this.#fill.bytes.whenVerified(signal).catch((error: unknown) => {
      if (!(error instanceof SpoolFailed)) throw error;
    });
  }

  read(buffer: Uint8Array, position: number, signal: AbortSignal): Promise<number> {
    const reading = this.#read(buffer, position, signal).catch((error: unknown) => {
      throw toClientError(error);
    });
    this.#reading = reading.catch(() => undefined);
    return reading;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#reading;
    await this.#direct?.[Symbol.asyncDispose]();
    this.#fill.sources.leave(this.#source);
    this.#fill.leave();
  }

  async #read(buffer: Uint8Array, position: number, signal: AbortSignal): Promise<number> {
    if (this.#direct !== undefined) return this.#direct.read(buffer, position, signal);
    try {
      this.#assertSame();
      const read = await this.#fill.read(buffer, position, this.unverified, signal);
      this.#generation ??= this.#fill.bytes.generation;
      this.#assertSame();
      return read;
    } catch (error) {
      if (!(error instanceof SpoolFailed)) throw error;
      this.#assertSame();
      const { digest, size } = this.#fill;
      this.#direct = new Direct(this.#source, digest, size, this.#end);
      await this.#direct.begin(
        position,
        this.unverified ? undefined : (bytes, at) => this.#fill.read(bytes, at, true, signal),
      );
      return this.#direct.read(buffer, position, signal);
    }
  }

  /** Who has read of bytes that gave way to others cannot go on. */
  #assertSame(): void {
    if (this.#generation !== undefined && this.#generation !== this.#fill.bytes.generation) throw beganAnew();
  }
}
