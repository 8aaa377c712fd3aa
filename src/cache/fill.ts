import { type FillEvent, publish } from '../events.ts';
import type { Digest } from '../oci/digest.ts';
import type { ByteRange } from '../oci/range.ts';
import { namespaced } from '../oci/route.ts';
import type { SpoolFile } from '../store/spool-file.ts';
import { UpstreamError } from '../upstream/contract.ts';
import { Changes } from './changes.ts';
import { Downloads } from './downloads.ts';
import { SpoolFailed } from './fetcher.ts';
import type { Opened, Source } from './source.ts';
import { Sources } from './sources.ts';
import { HELD_BACK, wrongBytes } from './verification.ts';

const CHECKPOINT_EVERY = 4 << 20;

export type FillState = 'running' | 'committed' | 'parked' | 'detached';

/** Where a fill's bytes are kept: publishes a finished file, begins anew with an empty one, is told of every progress. */
export interface Keeper {
  commit(file: SpoolFile): Promise<void>;
  renew(file: SpoolFile): Promise<SpoolFile>;
  progress(): void;
}

/**
 * One missing blob on its way in. Every client is a follower that reads the growing file at its own pace, so that a
 * slow or vanished one neither slows nor ends it, and each byte is fetched once, by whatever source is at hand.
 */
export class Fill {
  readonly digest: Digest;
  /** Bytes. */
  readonly size: number;
  /** Where readers with rights of their own leave their sources. */
  readonly sources = new Sources();
  readonly #keeper: Keeper;
  #file: SpoolFile;
  #downloads: Downloads;
  readonly #changes = new Changes();
  readonly #over = Promise.withResolvers<void>();
  #state: FillState = 'running';
  #failure: Error | undefined;
  #verified = false;
  /** Counts fresh starts: what was read before one is not what is read after it. */
  #generation = 0;
  #resumed: boolean;
  #checkpointed = 0;
  #readers = 0;

  constructor(digest: Digest, size: number, file: SpoolFile, keeper: Keeper) {
    this.digest = digest;
    this.size = size;
    this.#file = file;
    this.#keeper = keeper;
    this.#resumed = file.extents.bytes > 0;
    this.#downloads = this.#newDownloads(file);
  }

  get state(): FillState {
    return this.#state;
  }

  /** Resolves when nothing more will be fetched. */
  get ended(): Promise<void> {
    return this.#over.promise;
  }

  get generation(): number {
    return this.#generation;
  }

  /** Begins at the first missing byte; `answer` is the source's to the request for it, where one was made already. */
  start(source: Source, answer?: Opened): void {
    this.sources.add(source);
    this.#tell(this.#resumed ? 'resumed' : 'started');
    this.#downloads.advance(source, answer && { source, answer });
  }

  /** Whether a reader that begins at `position` would wait long for the running downloads to get there. */
  isFar(position: number): boolean {
    return (
      this.#state === 'running' && this.#file.extents.endOf(position) === position && !this.#downloads.reaches(position)
    );
  }

  /** Whether every byte of the range is in the spool. */
  has(range: ByteRange): boolean {
    return this.#file.extents.has(range);
  }

  join(): void {
    this.#readers++;
    publish('follower', { phase: 'joined' });
  }

  /** Once for each `join`, with no read of that reader running. */
  leave(): void {
    this.#readers--;
    publish('follower', { phase: 'left' });
    this.#closeWhenUnused();
  }

  /**
   * Reads what is there at `position`, up to the held-back end unless `unverified`; waits for what is not. Rejects when
   * it will not come; a detached fill (its storage failed) rejects with SpoolFailed beyond what it has.
   */
  async read(buffer: Uint8Array, position: number, unverified: boolean, signal: AbortSignal): Promise<number> {
    for (;;) {
      signal.throwIfAborted();
      const generation = this.#generation;
      const released = this.#verified || unverified ? this.size : this.size - HELD_BACK;
      const readable = Math.min(this.#file.extents.endOf(position), released);
      if (readable > position) {
        const read = await this.#file.read(buffer.subarray(0, Math.min(buffer.length, readable - position)), position);
        if (read > 0 && generation === this.#generation) return read;
        throw this.#failure ?? new UpstreamError('protocol', 'the blob began anew from another source');
      }
      if (this.#failure !== undefined) throw this.#failure;
      if (unverified) this.#downloads.want(position);
      await this.#changes.next(signal);
    }
  }

  /** Resolves once the whole blob is there and is what its digest says; rejects when it will not be. */
  async whenVerified(signal: AbortSignal): Promise<void> {
    while (!this.#verified) {
      signal.throwIfAborted();
      if (this.#failure !== undefined) throw this.#failure;
      await this.#changes.next(signal);
    }
  }

  #newDownloads(file: SpoolFile): Downloads {
    return new Downloads(this.size, file, this.sources, {
      written: () => this.#written(),
      complete: (last) => this.#complete(last).catch((error: Error) => this.#detach(error)),
      broken: (error, next, same) => {
        if (next === undefined) this.#giveUp('parked', error);
        else this.#tell(same ? 'resumed' : 'switched', error.message);
      },
      storageFailed: (error) => this.#detach(error),
    });
  }

  #written(): void {
    this.#keeper.progress();
    const prefix = this.#file.extents.prefix();
    if (prefix - this.#checkpointed >= CHECKPOINT_EVERY) {
      this.#checkpointed = prefix;
      this.#checkpoint();
    }
    this.#changes.announce();
  }

  #checkpoint(): void {
    const failed = (error: unknown) =>
      publish('notice', { level: 'warn', message: `cannot record the progress of ${this.digest}`, error });
    this.#file.checkpoint().catch(failed);
  }

  async #complete(last: Source | undefined): Promise<void> {
    await this.#file.hashPrefix();
    if (this.#file.digest() !== this.digest) return this.#corrupt(last);
    this.#verified = true;
    this.#changes.announce();
    await this.#keeper.commit(this.#file);
    this.#tell('committed');
    this.#finish('committed');
  }

  /**
   * Nothing of a body with a wrong digest is kept, and who has read of it is cut off. The next source starts from
   * nothing: another upstream's, or the same when bytes from an earlier life of the process may be to blame.
   */
  async #corrupt(blamed: Source | undefined): Promise<void> {
    if (blamed !== undefined && !this.#resumed) this.sources.distrust(blamed);
    publish('notice', {
      level: 'error',
      message: `received bytes that are not ${this.digest}: nothing of them is kept`,
      fields: originOf(blamed),
    });
    this.#generation++;
    this.#file = await this.#keeper.renew(this.#file);
    this.#resumed = false;
    this.#checkpointed = 0;
    if (this.sources.best === undefined) return this.#giveUp('failed', wrongBytes());
    this.#tell('switched', 'digest');
    this.#downloads = this.#newDownloads(this.#file);
    this.#downloads.advance();
    this.#changes.announce();
  }

  /** Stops fetching and keeps what is there; a blob that only has to be published still is. */
  park(reason: Error): void {
    if (this.#state === 'running' && !this.#verified) this.#giveUp('parked', reason);
  }

  /** Keeps what is there for whoever comes next. */
  #giveUp(phase: 'parked' | 'failed', error: Error): void {
    this.#failure = error;
    this.#checkpoint();
    this.#tell(phase, error.message);
    this.#finish('parked');
  }

  #detach(error: Error): void {
    this.#failure = error instanceof SpoolFailed ? error : new SpoolFailed('cannot keep the blob', { cause: error });
    publish('notice', {
      level: 'error',
      message: `storage failed for ${this.digest}: its readers go on without it`,
      error,
    });
    this.#file.discard().catch(() => undefined);
    this.#tell('failed', 'storage');
    this.#finish('detached');
  }

  #finish(state: FillState): void {
    this.#state = state;
    this.#downloads.stop(this.#failure ?? new UpstreamError('unreachable', 'the fill is over'));
    this.#changes.announce();
    this.#over.resolve();
    this.#closeWhenUnused();
  }

  /** A parked file is wanted by whoever resumes it, and its readers have failed: it does not wait for them. */
  #closeWhenUnused(): void {
    if (this.#state === 'running' || (this.#readers > 0 && this.#state !== 'parked')) return;
    this.#file
      .close()
      .catch((error: unknown) => publish('notice', { level: 'warn', message: 'cannot close a spool file', error }));
  }

  #tell(phase: FillEvent['phase'], reason?: string): void {
    publish('fill', {
      digest: this.digest,
      ...originOf(this.sources.best),
      phase,
      bytes: this.#file.extents.bytes,
      ...(reason !== undefined && { reason }),
    });
  }
}

function originOf(source: Source | undefined): { readonly upstream: string; readonly repository: string } {
  return {
    upstream: source?.upstream.name ?? '',
    repository: source === undefined ? '' : namespaced(source.repository),
  };
}
