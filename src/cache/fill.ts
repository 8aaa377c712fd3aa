import { type FillEvent, publish } from '../events.ts';
import type { Digest } from '../oci/digest.ts';
import { namespaced } from '../oci/route.ts';
import type { SpoolFile } from '../store/spool-file.ts';
import { tellFailed } from '../store/trouble.ts';
import { UpstreamError } from '../upstream/contract.ts';
import type { Upstream } from '../upstream/upstream.ts';
import { Downloads, NEAR, type Patience } from './downloads.ts';
import { SpoolFailed } from './fetcher.ts';
import { GrowingBlob } from './growing-blob.ts';
import type { Opened, Source } from './source.ts';
import { Sources } from './sources.ts';
import { wrongBytes } from './verification.ts';

const CHECKPOINT_EVERY = 4 << 20;
/** Fresh starts after wrong bytes of several givers, before the last giver is blamed for all. */
const MAX_DOUBTS = 2;

export type FillState = 'running' | 'committed' | 'parked' | 'detached';

/** Where a fill's bytes are kept: publishes a finished file, begins anew with an empty one, is told what happens. */
export interface Keeper {
  commit(file: SpoolFile): Promise<void>;
  renew(file: SpoolFile): Promise<SpoolFile>;
  progress(): void;
  /** A write failed. */
  failed(error: unknown): void;
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
  /** What there is of the blob. */
  readonly bytes: GrowingBlob;
  readonly #keeper: Keeper;
  readonly #patience: Patience;
  readonly #over = Promise.withResolvers<void>();
  #downloads: Downloads;
  #state: FillState = 'running';
  /** Whose bytes are in the file; `undefined` stands for an earlier life of the process. */
  #givers: Set<Upstream | undefined>;
  #checkpointed = 0;
  #readers = 0;
  #isOver = false;

  constructor(digest: Digest, size: number, file: SpoolFile, keeper: Keeper, patience: Patience) {
    this.digest = digest;
    this.size = size;
    this.#keeper = keeper;
    this.#patience = patience;
    this.bytes = new GrowingBlob(size, file);
    this.#givers = new Set(file.extents.bytes > 0 ? [undefined] : []);
    this.#downloads = this.#newDownloads();
  }

  get state(): FillState {
    return this.#state;
  }

  /** Resolves when nothing more will be fetched, and the blob's place in the spool is free again. */
  get ended(): Promise<void> {
    return this.#over.promise;
  }

  /** Begins at the first missing byte; `answer` is the source's to the request for it, where one was made already. */
  start(source: Source, answer?: Opened): void {
    this.sources.add(source);
    this.#tell(this.#givers.size > 0 ? 'resumed' : 'started');
    this.#downloads.advance(source, answer && { source, answer });
  }

  /** Whether the run of bytes from the beginning on will not soon get to `position`. */
  isFar(position: number): boolean {
    return this.#state === 'running' && position - this.bytes.prefix >= NEAR;
  }

  get isFollowed(): boolean {
    return this.#readers > 0;
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
  read(buffer: Uint8Array, position: number, unverified: boolean, signal: AbortSignal): Promise<number> {
    const missing = (): void => {
      if (unverified) this.#downloads.want(position);
    };
    return this.bytes.read(buffer, position, { unverified, missing }, signal);
  }

  /** Stops fetching and keeps what is there; a blob that only has to be published still is. */
  park(reason: Error): void {
    if (this.#state === 'running' && !this.bytes.isVerified) this.#giveUp('parked', reason);
  }

  #newDownloads(): Downloads {
    const { file } = this.bytes;
    const events = {
      written: (source: Source) => this.#written(source),
      complete: (last: Source | undefined) => this.#complete(last).catch((error: Error) => this.#detach(error)),
      broken: (error: Error, next: Source | undefined, same: boolean) => {
        if (next === undefined) this.#giveUp('parked', error);
        else this.#tell(same ? 'resumed' : 'switched', error.message);
      },
      storageFailed: (error: Error) => this.#detach(error),
    };
    return new Downloads(this.size, file, this.sources, events, this.#patience);
  }

  #written({ upstream }: Source): void {
    this.#givers.add(upstream);
    this.#keeper.progress();
    const { prefix } = this.bytes;
    if (prefix - this.#checkpointed >= CHECKPOINT_EVERY) {
      this.#checkpointed = prefix;
      this.#checkpoint();
    }
    this.bytes.announce();
  }

  async #checkpoint(): Promise<void> {
    try {
      await this.bytes.file.checkpoint();
    } catch (error) {
      this.#keeper.failed(error);
      tellFailed(`cannot record the progress of ${this.digest}`, error, { level: 'warn' });
    }
  }

  async #complete(last: Source | undefined): Promise<void> {
    const { file } = this.bytes;
    await file.hashPrefix();
    if (this.#state !== 'running') return;
    if (file.digest() !== this.digest) return this.#corrupt(last);
    this.bytes.verified();
    await this.#keeper.commit(file);
    this.#tell('committed');
    this.#stop('committed');
    this.#settle();
  }

  /**
   * Nothing of a body with a wrong digest is kept, and who has read of it is cut off. The next source starts from
   * nothing: another upstream's, or the same when bytes of somebody else may be to blame.
   */
  async #corrupt(last: Source | undefined): Promise<void> {
    const isSure = this.#givers.size === 1 || this.bytes.generation >= MAX_DOUBTS;
    if (last !== undefined && isSure) this.sources.distrust(last);
    publish('notice', {
      level: 'error',
      message: `received bytes that are not ${this.digest}: nothing of them is kept`,
      fields: originOf(last),
    });
    await this.bytes.renew((wrong) => this.#keeper.renew(wrong));
    this.#givers = new Set();
    this.#checkpointed = 0;
    if (this.#state !== 'running') return this.#drop();
    if (this.sources.best === undefined) return this.#giveUp('failed', wrongBytes());
    this.#tell('switched', 'digest');
    this.#downloads = this.#newDownloads();
    this.#downloads.advance();
    this.bytes.announce();
  }

  /** Keeps what is there for whoever comes next; the readers fail, and the file is not theirs any more. */
  async #giveUp(phase: 'parked' | 'failed', error: Error): Promise<void> {
    this.bytes.fail(error);
    this.#tell(phase, error.message);
    this.#stop('parked');
    if (this.bytes.file.extents.bytes === 0) await this.#drop();
    else await this.#checkpoint();
    await this.#close();
    this.#settle();
  }

  async #detach(error: Error): Promise<void> {
    this.bytes.fail(error instanceof SpoolFailed ? error : new SpoolFailed('cannot keep the blob', { cause: error }));
    this.#keeper.failed(error);
    tellFailed(`storage failed for ${this.digest}: its readers go on without it`, error);
    this.#tell('failed', 'storage');
    this.#stop('detached');
    await this.#drop();
    this.#settle();
  }

  #stop(state: FillState): void {
    this.#state = state;
    this.#downloads.stop(this.bytes.failure ?? new UpstreamError('unreachable', 'the fill is over'));
  }

  #settle(): void {
    this.#isOver = true;
    this.#closeWhenUnused();
    this.#over.resolve();
  }

  #closeWhenUnused(): void {
    if (this.#isOver && this.#readers === 0) this.#close();
  }

  /** Takes the file's name away; who reads it can go on. */
  async #drop(): Promise<void> {
    await this.bytes.file.discard().catch(() => undefined);
  }

  async #close(): Promise<void> {
    try {
      await this.bytes.file.close();
    } catch (error) {
      publish('notice', { level: 'warn', message: 'cannot close a spool file', error });
    }
  }

  #tell(phase: FillEvent['phase'], reason?: string): void {
    publish('fill', {
      digest: this.digest,
      ...originOf(this.sources.best),
      phase,
      bytes: this.bytes.file.extents.bytes,
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
