import { type FillEvent, publish } from '../events.ts';
import type { Digest } from '../oci/digest.ts';
import type { SpoolFile } from '../store/spool-file.ts';
import { tellFailed } from '../store/trouble.ts';
import { UpstreamError } from '../upstream/contract.ts';
import type { Upstream } from '../upstream/upstream.ts';
import { Downloads, NEAR, type Patience } from './downloads.ts';
import { SpoolFailed } from './fetcher.ts';
import { GrowingBlob } from './growing-blob.ts';
import type { Place } from './place.ts';
import type { Opened, Source } from './source.ts';
import { originOf, Sources } from './sources.ts';
import { wrongBytes } from './verification.ts';

const CHECKPOINT_EVERY = 4 << 20;
/** Fresh starts after wrong bytes of several givers, before the last giver is blamed for all. */
const MAX_DOUBTS = 2;

/** Where a fill's bytes are kept. */
type Keeper = Pick<Place, 'file' | 'commit' | 'renew' | 'progress' | 'checkpoint' | 'tell' | 'failed'>;

export type FillState = 'running' | 'committed' | 'parked' | 'detached';

/**
 * One missing blob on its way in. Every client is a follower that reads the growing file at its own pace, so that a
 * slow or vanished one neither slows nor ends it, and each byte is fetched once, by whatever source is at hand. While
 * another process brings the bytes, it is that process's file.
 */
export class Fill {
  readonly digest: Digest;
  /** Bytes. */
  readonly size: number;
  /** Where readers with rights of their own leave their sources. */
  readonly sources = new Sources();
  /** What there is of the blob. */
  readonly bytes: GrowingBlob;
  readonly #patience: Patience;
  readonly #over = Promise.withResolvers<void>();
  /** Absent while another process brings the bytes. */
  #keeper: Keeper | undefined;
  #downloads: Downloads | undefined;
  #state: FillState = 'running';
  /** Whose bytes are in the file; `undefined` stands for another process, or an earlier life of this one. */
  #givers: Set<Upstream | undefined> = new Set();
  #checkpointed = 0;
  #readers = 0;
  #isOver = false;

  constructor(digest: Digest, size: number, file: SpoolFile, patience: Patience) {
    this.digest = digest;
    this.size = size;
    this.#patience = patience;
    this.bytes = new GrowingBlob(size, file);
  }

  get state(): FillState {
    return this.#state;
  }

  /** Resolves when nothing more will be fetched, and the blob's place in the spool is free again. */
  get ended(): Promise<void> {
    return this.#over.promise;
  }

  /**
   * Brings what is missing in the keeper's file, from the first missing byte on; `opened` is a source's answer to the
   * request for it, where one was made already.
   */
  receive(keeper: Keeper, opened?: { readonly source: Source; readonly answer: Opened }): void {
    if (opened !== undefined) this.sources.add(opened.source);
    this.#keeper = keeper;
    this.#givers = new Set(keeper.file.extents.bytes > 0 ? [undefined] : []);
    this.#tell(this.#givers.size > 0 ? 'resumed' : 'started');
    this.#downloads = this.#newDownloads(keeper);
    this.bytes.goOn(keeper.file);
    this.#downloads.advance(opened?.source, opened);
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
   * it will not come; with SpoolFailed where the reader can go on by itself: beyond what a detached fill has (its
   * storage failed), and far ahead of another process.
   */
  read(buffer: Uint8Array, position: number, unverified: boolean, signal: AbortSignal): Promise<number> {
    const missing = (): void => {
      if (unverified && this.#downloads === undefined && this.isFar(position)) throw new SpoolFailed('far ahead');
      if (unverified) this.#downloads?.want(position);
    };
    return this.bytes.read(buffer, position, { unverified, missing }, signal);
  }

  /** Stops fetching and keeps what is there; a blob that only has to be published still is. */
  park(reason: Error): void {
    if (this.#state !== 'running') return;
    if (this.#keeper === undefined) this.end('parked', reason);
    else if (!this.bytes.isVerified) this.#giveUp(this.#keeper, 'parked', reason);
  }

  /** Another process has the file now, and the readers what that brings. */
  yield(): void {
    this.#downloads?.stop(new UpstreamError('unreachable', 'another process went on'));
    this.#tell('parked', 'another process went on');
    this.#downloads = undefined;
    this.#keeper = undefined;
  }

  /** Ends what another process brings. */
  end(state: FillState, error?: Error): void {
    this.#stop(state, error);
    this.#settle();
  }

  #newDownloads(keeper: Keeper): Downloads {
    const { file } = keeper;
    const events = {
      written: (source: Source) => this.#written(keeper, source),
      complete: (last: Source | undefined) =>
        this.#complete(keeper, last).catch((error: Error) => this.#detach(keeper, error)),
      broken: (error: Error, next: Source | undefined, same: boolean) => {
        if (next === undefined) this.#giveUp(keeper, 'parked', error);
        else this.#tell(same ? 'resumed' : 'switched', error.message);
      },
      storageFailed: (error: Error) => this.#detach(keeper, error),
    };
    return new Downloads(this.size, file, this.sources, events, this.#patience);
  }

  #written(keeper: Keeper, { upstream }: Source): void {
    this.#givers.add(upstream);
    keeper.progress();
    const { bytes } = keeper.file.extents;
    if (bytes - this.#checkpointed >= CHECKPOINT_EVERY) {
      this.#checkpointed = bytes;
      keeper.checkpoint();
      publish('received', { digest: this.digest, bytes });
    }
    this.bytes.announce();
  }

  async #complete(keeper: Keeper, last: Source | undefined): Promise<void> {
    const { file } = keeper;
    await file.hashPrefix();
    if (this.#state !== 'running' || this.#keeper !== keeper) return;
    if (file.digest() !== this.digest) return this.#corrupt(keeper, last);
    keeper.tell('verified');
    this.bytes.verified();
    await keeper.commit();
    this.#tell('committed');
    this.end('committed');
  }

  /**
   * Nothing of a body with a wrong digest is kept, and who has read of it is cut off. The next source starts from
   * nothing: another upstream's, or the same when bytes of somebody else may be to blame.
   */
  async #corrupt(keeper: Keeper, last: Source | undefined): Promise<void> {
    const isSure = this.#givers.size === 1 || this.bytes.generation >= MAX_DOUBTS;
    if (last !== undefined && isSure) this.sources.distrust(last);
    publish('notice', {
      level: 'error',
      message: `received bytes that are not ${this.digest}: nothing of them is kept`,
      fields: originOf(last),
    });
    this.bytes.beginAnew();
    const file = await keeper.renew();
    file.size = this.size;
    this.bytes.goOn(file);
    this.#givers = new Set();
    this.#checkpointed = 0;
    if (this.#state !== 'running') {
      await discard(keeper);
      return this.bytes.close();
    }
    if (this.sources.best === undefined) return this.#giveUp(keeper, 'failed', wrongBytes());
    this.#tell('switched', 'digest');
    this.#downloads = this.#newDownloads(keeper);
    this.#downloads.advance();
  }

  /** Keeps what is there for whoever comes next; the readers fail, and the file is not theirs any more. */
  async #giveUp(keeper: Keeper, phase: 'parked' | 'failed', error: Error): Promise<void> {
    this.#tell(phase, error.message);
    this.#stop('parked', error);
    if (keeper.file.extents.bytes === 0) await discard(keeper);
    else await keeper.checkpoint();
    await this.bytes.close();
    this.#settle();
  }

  async #detach(keeper: Keeper, error: Error): Promise<void> {
    keeper.failed(error);
    keeper.tell('detached');
    tellFailed(`storage failed for ${this.digest}: its readers go on without it`, error);
    this.#tell('failed', 'storage');
    this.#stop('detached', error instanceof SpoolFailed ? error : new SpoolFailed('cannot be kept', { cause: error }));
    await discard(keeper);
    this.#settle();
  }

  #stop(state: FillState, error?: Error): void {
    if (error !== undefined) this.bytes.fail(error);
    this.#state = state;
    this.#downloads?.stop(error ?? new UpstreamError('unreachable', 'the fill is over'));
  }

  #settle(): void {
    this.#isOver = true;
    this.#closeWhenUnused();
    this.#over.resolve();
  }

  #closeWhenUnused(): void {
    if (this.#isOver && this.#readers === 0) this.bytes.close();
  }

  #tell(phase: FillEvent['phase'], reason?: string): void {
    const { digest, size, bytes } = this;
    const why = reason !== undefined && { reason };
    publish('fill', { digest, size, ...originOf(this.sources.best), phase, bytes: bytes.file.extents.bytes, ...why });
  }
}

/** Takes the file's name away; who reads it can go on. */
async function discard({ file }: Keeper): Promise<void> {
  await file.discard().catch(() => undefined);
}
