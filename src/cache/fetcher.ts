import type { Readable } from 'node:stream';
import { publish } from '../events.ts';
import type { SpoolFile } from '../store/spool-file.ts';
import { UpstreamError } from '../upstream/contract.ts';
import { type Opened, open, type Source } from './source.ts';

/** Bytes that may wait for the disk before the upstream has to. */
const BLOCK = 512 << 10;

/** The upstream answered, but not with the blob: it refuses this source, or does not have it. */
export class SourceRefused extends UpstreamError {
  constructor(status: number) {
    super('unreachable', `the upstream answered ${status}`, { status });
  }
}

/** Writing to the spool failed: the fill cannot go on, its followers can. */
export class SpoolFailed extends Error {
  override readonly name = 'SpoolFailed';
}

/** One running download of the bytes from `start` to `limit` of a blob into the spool. */
export class Fetcher {
  readonly source: Source;
  readonly start: number;
  /** One of several that bring the blob in order. */
  readonly isPiece: boolean;
  /** Exclusive; lowered when another fetcher takes over from there on. */
  limit: number;
  /** Everything from `start` to here is in the spool or on its way there. */
  position: number;
  /** Exclusive; how far the answer goes that was asked for. */
  reach = Number.POSITIVE_INFINITY;
  /** When the body began, on the monotonic clock (milliseconds). */
  began = Number.POSITIVE_INFINITY;
  /** Whether the source says that it answers ranges. */
  takesRanges = false;
  /** When bytes last came, on the monotonic clock (milliseconds). */
  lastProgress = performance.now();
  readonly #abort = new AbortController();

  constructor(source: Source, start: number, limit: number, isPiece: boolean) {
    this.source = source;
    this.start = start;
    this.position = start;
    this.limit = limit;
    this.isPiece = isPiece;
  }

  /** Whether this download will bring the byte at `position`. */
  covers(position: number): boolean {
    return position >= this.start && position < this.limit;
  }

  stop(reason: Error): void {
    this.#abort.abort(reason);
  }

  /** Asks the source; resolves with the head of its answer. `end` undefined asks for everything from the start on. */
  async open(end: number | undefined): Promise<Opened> {
    this.reach = end ?? this.reach;
    const opened = await open(this.source, this.start, end, this.#abort.signal);
    this.lastProgress = performance.now();
    return opened;
  }

  /**
   * Receives the body into the spool up to the limit; `written` is called whenever followers have something new to
   * read. Resolves at the limit, rejects when the body ends, breaks or stalls before.
   */
  async receive(opened: Opened, file: SpoolFile, written: () => void): Promise<void> {
    const { body, headers, status } = opened.response;
    this.began = performance.now();
    this.takesRanges = status === 206 || headers['accept-ranges'] === 'bytes';
    const stopped = (): void => {
      body.destroy(this.#abort.signal.reason as Error);
    };
    this.#abort.signal.addEventListener('abort', stopped, { once: true });
    try {
      if (this.#abort.signal.aborted) stopped();
      await this.#copy(body, this.start - opened.start, file, written);
    } finally {
      this.#abort.signal.removeEventListener('abort', stopped);
      body.destroy();
    }
    if (this.position < this.limit) throw new UpstreamError('unreachable', 'the upstream ended a blob early');
  }

  async #copy(body: Readable, skip: number, file: SpoolFile, written: () => void): Promise<void> {
    const writer = new Writer(file, this.start, written);
    let toSkip = skip;
    try {
      for await (const chunk of body as AsyncIterable<Buffer>) {
        this.lastProgress = performance.now();
        publish('upstreamBytes', { upstream: this.source.upstream.name, bytes: chunk.length });
        const skipped = Math.min(toSkip, chunk.length);
        toSkip -= skipped;
        const bytes = chunk.subarray(skipped, skipped + Math.max(0, this.limit - this.position));
        if (bytes.length > 0) await writer.push(bytes);
        this.position += bytes.length;
        if (this.position >= this.limit) break;
      }
    } finally {
      await writer.end();
    }
  }
}

/**
 * Writes what has come while the last write ran as one: the first byte at once, bulk when the disk is the slower. Bytes
 * are gathered in two blocks that take turns, since joining buffers anew for each write costs more than the copy.
 */
class Writer {
  readonly #file: SpoolFile;
  readonly #written: () => void;
  #position: number;
  #gathering = Buffer.allocUnsafeSlow(BLOCK);
  #other = Buffer.allocUnsafeSlow(BLOCK);
  #gathered = 0;
  #running: Promise<void> | undefined;
  #failure: SpoolFailed | undefined;

  constructor(file: SpoolFile, position: number, written: () => void) {
    this.#file = file;
    this.#position = position;
    this.#written = written;
  }

  async push(bytes: Uint8Array): Promise<void> {
    for (let rest = bytes; rest.length > 0; ) {
      if (this.#gathered === BLOCK) await this.#running;
      if (this.#failure !== undefined) throw this.#failure;
      const part = rest.subarray(0, BLOCK - this.#gathered);
      this.#gathering.set(part, this.#gathered);
      this.#gathered += part.length;
      rest = rest.subarray(part.length);
      this.#running ??= this.#drain();
    }
  }

  async end(): Promise<void> {
    await this.#running;
    if (this.#failure !== undefined) throw this.#failure;
  }

  async #drain(): Promise<void> {
    try {
      while (this.#gathered > 0) {
        const bytes = this.#gathering.subarray(0, this.#gathered);
        [this.#gathering, this.#other] = [this.#other, this.#gathering];
        this.#gathered = 0;
        await this.#file.write(bytes, this.#position);
        this.#position += bytes.length;
        this.#written();
      }
    } catch (cause) {
      this.#failure = new SpoolFailed('cannot write to the spool', { cause });
    } finally {
      this.#running = undefined;
    }
  }
}
