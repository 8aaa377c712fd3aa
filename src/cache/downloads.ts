import { setTimeout as sleep } from 'node:timers/promises';
import type { SpoolFile } from '../store/spool-file.ts';
import { UpstreamError } from '../upstream/contract.ts';
import { Fetcher, SourceRefused, SpoolFailed } from './fetcher.ts';
import type { Opened, Source } from './source.ts';
import type { Sources } from './sources.ts';

/** How far ahead of a running download a reader may be before it gets one of its own (bytes). */
export const NEAR = 1 << 20;
/** Downloads for far readers, beside those that bring the blob in order. */
const MAX_FAR = 5;
/** Milliseconds that a download is watched before others may help it. */
const WATCHED = 500;
/** Milliseconds that a piece takes at the speed seen: few requests, and a reader in order never waits for long. */
const PIECE = 1000;

/** Milliseconds without a byte after which a download is given up. */
export interface Patience {
  readonly alone: number;
  /** While there is another source to go on with. */
  readonly withAlternative: number;
}

export const PATIENCE: Patience = { alone: 30_000, withAlternative: 5_000 };

/** What a fill wants to hear of its downloads. */
export interface DownloadEvents {
  /** New bytes of `source` are in the spool. */
  readonly written: (source: Source) => void;
  /** Every byte is in the spool; `last` brought the last one. */
  readonly complete: (last: Source | undefined) => void;
  /** A download broke; `next` goes on (the `same` source again, or another one), or nobody is left to. */
  readonly broken: (error: Error, next: Source | undefined, same: boolean) => void;
  /** The spool cannot be written. */
  readonly storageFailed: (error: Error) => void;
}

/**
 * The running downloads of one blob. No two of them cover the same byte: a new one takes over the rest of the gap
 * it begins in. One of them always brings the first missing byte. A large blob that comes slowly is widened, where the
 * upstream's `parallel` allows: the pieces next in order come over connections of their own.
 */
export class Downloads {
  readonly #sources: Sources;
  readonly #size: number;
  readonly #file: SpoolFile;
  readonly #events: DownloadEvents;
  readonly #patience: Patience;
  readonly #running = new Set<Fetcher>();
  readonly #watchdog: NodeJS.Timeout;
  #stopped = false;
  /** The source answers every range with the whole, so that only what comes in order is worth asking for. */
  #ignoresRange = false;
  /** How many downloads bring the blob in order, and the bytes that each of them takes on at a time. */
  #width = 1;
  #piece = Number.POSITIVE_INFINITY;
  /** A request for a piece was refused: one download at a time is what this blob gets. */
  #isNarrow = false;

  constructor(size: number, file: SpoolFile, sources: Sources, events: DownloadEvents, patience: Patience) {
    this.#size = size;
    this.#file = file;
    this.#sources = sources;
    this.#events = events;
    this.#patience = patience;
    this.#watchdog = setInterval(() => this.#watch(), Math.min(250, patience.withAlternative / 4)).unref();
  }

  /** Goes on with the first missing byte that nobody fetches; `opened` is an answer that begins at or before it. */
  advance(last?: Source, opened?: { readonly source: Source; readonly answer: Opened }): void {
    if (this.#stopped) return;
    const start = this.#uncovered();
    if (start === undefined) {
      opened?.answer.response.body.destroy();
      if (this.#running.size === 0) this.#complete(last);
      return;
    }
    if (start > this.#file.extents.prefix() && this.#running.size >= this.#width) return;
    const source = opened?.source ?? this.#sources.best;
    if (source === undefined) {
      if (this.#running.size === 0) this.#events.broken(NOBODY, undefined, false);
      return;
    }
    this.#launch(source, start, opened?.answer);
    if (this.#width > 1) this.advance();
  }

  /** Gives a far reader a download of its own, unless a running one will soon bring the byte at `position`. */
  want(position: number): void {
    const source = this.#sources.best;
    if (this.#stopped || source === undefined || this.#ignoresRange) return;
    if (this.#running.size >= this.#width + MAX_FAR) return;
    if (!this.#reaches(position)) this.#launch(source, position);
  }

  stop(reason: Error): void {
    this.#stopped = true;
    clearInterval(this.#watchdog);
    for (const fetcher of this.#running) fetcher.stop(reason);
  }

  #reaches(position: number): boolean {
    return [...this.#running].some((fetcher) => fetcher.covers(position) && position - fetcher.position < NEAR);
  }

  /** The first byte that is missing and that nobody fetches. */
  #uncovered(): number | undefined {
    const covered = [...this.#running].reduce(
      (there, { start, limit }) => there.add({ start, end: limit }),
      this.#file.extents,
    );
    return covered.gaps(this.#size)[0]?.start;
  }

  #launch(source: Source, start: number, opened?: Opened): void {
    const limit = Math.min(this.#boundary(start), start + this.#piece);
    for (const other of this.#running) if (other.covers(start)) other.limit = start;
    const fetcher = new Fetcher(source, start, limit, this.#width > 1);
    this.#running.add(fetcher);
    this.#run(fetcher, opened).then(
      () => this.#finished(fetcher),
      (error: Error) => this.#failed(fetcher, error),
    );
  }

  #complete(last: Source | undefined): void {
    this.stop(OVER);
    this.#events.complete(last);
  }

  /** Where the gap at `position` ends: the next byte that is present or being fetched. */
  #boundary(position: number): number {
    const starts = [...this.#running].map((fetcher) => fetcher.start).filter((start) => start > position);
    return Math.min(this.#size, this.#file.extents.next(position)?.start ?? this.#size, ...starts);
  }

  async #run(fetcher: Fetcher, head: Opened | undefined): Promise<void> {
    const opened = head ?? (await fetcher.open(fetcher.limit < this.#size ? fetcher.limit : undefined));
    const refusal = this.#refusal(opened);
    if (refusal !== undefined) {
      opened.response.body.destroy();
      throw refusal;
    }
    if (opened.start < fetcher.start && fetcher.start > this.#file.extents.prefix()) {
      opened.response.body.destroy();
      this.#ignoresRange = true;
      this.#narrow();
      return;
    }
    await fetcher.receive(opened, this.#file, () => this.#events.written(fetcher.source));
  }

  /** What a download was to bring and did not begin with falls back to the one that it took it from. */
  #giveBack({ start, position, limit }: Fetcher): void {
    if (position > start) return;
    for (const other of this.#running) if (other.limit === start) other.limit = Math.min(limit, other.reach);
  }

  /** Splits what is missing when the only download has been watched for a while and would still take long. */
  #widen(): void {
    const [only] = this.#running;
    if (only === undefined || this.#running.size > 1 || this.#isNarrow || this.#ignoresRange) return;
    // A download whose reader has left is the last one by that right.
    if (this.#sources.best === undefined) return;
    const width = only.source.upstream.parallel;
    const time = performance.now() - only.began;
    const piece = Math.max(NEAR, Math.ceil(((only.position - only.start) * PIECE) / time));
    if (width === 1 || !only.takesRanges || time < WATCHED || only.limit - only.position < 2 * piece) return;
    this.#width = width;
    this.#piece = piece;
    only.limit = only.position + piece;
    this.advance();
  }

  #narrow(): void {
    this.#width = 1;
    this.#piece = Number.POSITIVE_INFINITY;
  }

  #refusal({ response, size }: Opened): Error | undefined {
    if (response.status !== 200 && response.status !== 206) return new SourceRefused(response.status);
    if (size === this.#size) return undefined;
    return new UpstreamError('protocol', `the upstream says the blob has ${size} bytes, it said ${this.#size} before`);
  }

  #finished(fetcher: Fetcher): void {
    this.#running.delete(fetcher);
    this.#giveBack(fetcher);
    this.#sources.succeeded(fetcher.source);
    this.advance(fetcher.source);
  }

  #failed(fetcher: Fetcher, error: Error): void {
    this.#running.delete(fetcher);
    if (this.#stopped) return;
    this.#giveBack(fetcher);
    if (error instanceof SpoolFailed) {
      this.#events.storageFailed(error);
      return;
    }
    if (fetcher.isPiece && this.#running.size > 0) {
      // The others go on, and tell in time whether the source itself is to blame.
      this.#isNarrow ||= fetcher.position === fetcher.start;
      this.#narrow();
      this.advance();
      return;
    }
    const pause = this.#sources.failed(fetcher.source, error, fetcher.position > fetcher.start);
    const next = this.#sources.best;
    if (next !== undefined || this.#running.size === 0) this.#events.broken(error, next, next === fetcher.source);
    if (next !== undefined) sleep(pause).then(() => this.advance(fetcher.source));
  }

  #watch(): void {
    const allowed = this.#sources.count > 1 ? this.#patience.withAlternative : this.#patience.alone;
    for (const fetcher of this.#running) {
      if (performance.now() - fetcher.lastProgress > allowed) fetcher.stop(SILENT);
    }
    this.#widen();
  }
}

const OVER = new UpstreamError('unreachable', 'every byte is there');
const SILENT = new UpstreamError('unreachable', 'the upstream sent nothing any more');
const NOBODY = new UpstreamError('unreachable', 'nobody is left who may fetch this blob');
