import type { Readable } from 'node:stream';
import { publish } from '../events.ts';
import { algorithmOf, type Digest, Digester } from '../oci/digest.ts';
import { UpstreamError } from '../upstream/contract.ts';
import { toClientError } from '../upstream/failure.ts';
import { SourceRefused } from './fetcher.ts';
import { type Opened, open, type Source } from './source.ts';
import { HELD_BACK, wrongBytes } from './verification.ts';

const ATTEMPTS = 3;

/**
 * A blob read straight from its source by one client, for when nothing can be stored. Sequential. The end is held
 * back until the digest is known, as it is for a follower.
 */
export class Direct implements AsyncDisposable {
  readonly #source: Source;
  readonly #digest: Digest;
  readonly #size: number;
  readonly #end: number | undefined;
  readonly #abort = new AbortController();
  #digester: Digester | undefined;
  #body: Readable | undefined;
  #chunks: AsyncIterator<Buffer> | undefined;
  #rest: Uint8Array = new Uint8Array(0);
  #tail: { readonly start: number; readonly bytes: Uint8Array } | undefined;
  /** Everything before it came from the source. */
  #position = 0;

  /** `end`: where a reader stops for whom nothing is verified. */
  constructor(source: Source, digest: Digest, size: number, end?: number) {
    this.#source = source;
    this.#digest = digest;
    this.#size = size;
    this.#end = end;
  }

  /**
   * Begins at `position`. What comes before is read by `before` to know the digest of the whole; without it the bytes
   * cannot be verified, and are not.
   */
  async begin(
    position: number,
    before?: (buffer: Uint8Array, position: number) => Promise<number>,
    opened?: Opened,
  ): Promise<void> {
    this.#position = position;
    if (opened !== undefined) this.#use(opened);
    if (before === undefined) return;
    const digester = new Digester(algorithmOf(this.#digest));
    const buffer = new Uint8Array(1 << 18);
    for (let at = 0; at < position; ) {
      const read = await before(buffer.subarray(0, Math.min(buffer.length, position - at)), at);
      digester.update(buffer.subarray(0, read));
      at += read;
    }
    this.#digester = digester;
  }

  async read(buffer: Uint8Array, position: number, signal: AbortSignal): Promise<number> {
    const stop = (): void => this.#abort.abort(signal.reason);
    signal.addEventListener('abort', stop, { once: true });
    try {
      signal.throwIfAborted();
      const released = this.#end ?? this.#size - HELD_BACK;
      if (this.#tail === undefined && position >= released) this.#tail = await this.#verifiedTail();
      const bytes =
        this.#tail === undefined
          ? await this.#next(Math.min(buffer.length, released - position))
          : this.#tail.bytes.subarray(position - this.#tail.start);
      const length = Math.min(buffer.length, bytes.length);
      buffer.set(bytes.subarray(0, length));
      return length;
    } catch (error) {
      throw toClientError(error);
    } finally {
      signal.removeEventListener('abort', stop);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#body?.destroy();
    this.#abort.abort(new Error('the reader has gone'));
  }

  async #verifiedTail(): Promise<{ start: number; bytes: Uint8Array }> {
    const start = this.#position;
    const parts: Uint8Array[] = [];
    while (this.#position < this.#size) parts.push(await this.#next(this.#size - this.#position));
    if (this.#digester !== undefined && this.#digester.digest() !== this.#digest) {
      throw wrongBytes();
    }
    return { start, bytes: Buffer.concat(parts) };
  }

  /** The next bytes of the body, at most `length`; a broken body is taken up where it broke. */
  async #next(length: number): Promise<Uint8Array> {
    for (let failures = 0; this.#rest.length === 0; ) {
      try {
        if (this.#chunks === undefined)
          this.#use(await open(this.#source, this.#position, this.#end, this.#abort.signal));
        const next = await this.#chunks?.next();
        if (next === undefined || next.done === true)
          throw new UpstreamError('unreachable', 'the upstream ended a blob early');
        this.#rest = next.value;
        publish('upstreamBytes', { upstream: this.#source.upstream.name, bytes: next.value.length });
      } catch (error) {
        this.#body?.destroy();
        this.#chunks = undefined;
        if (++failures >= ATTEMPTS || this.#abort.signal.aborted || error instanceof SourceRefused) throw error;
      }
    }
    const bytes = this.#rest.subarray(0, length);
    this.#rest = this.#rest.subarray(bytes.length);
    this.#position += bytes.length;
    this.#digester?.update(bytes);
    return bytes;
  }

  #use({ response, start, size }: Opened): void {
    this.#body = response.body;
    if (response.status !== 200 && response.status !== 206) throw new SourceRefused(response.status);
    if (start !== this.#position || size !== this.#size)
      throw new UpstreamError('protocol', 'the upstream cannot go on where the blob broke');
    this.#chunks = (response.body as AsyncIterable<Buffer>)[Symbol.asyncIterator]();
  }
}
