import { setTimeout as sleep } from 'node:timers/promises';
import type { Digest } from '../oci/digest.ts';
import { fillClaim, type Holding } from '../store/claim.ts';
import type { SpoolFile } from '../store/spool-file.ts';
import { UpstreamError } from '../upstream/contract.ts';
import { SpoolFailed } from './fetcher.ts';
import type { Fill } from './fill.ts';
import type { Stores } from './place.ts';
import { type Progress, parseProgress } from './progress.ts';

/** Milliseconds between two looks at how another process gets on. */
const LOOK_EVERY = 20;
/** Looks after which a fill that nobody here reads is left alone. */
const IDLE_LOOKS = 50;
export const UNREAD = new UpstreamError('unreachable', 'nobody reads the blob');

/** A fill in the hands of another process, whose notes are looked at again and again while its file is read. */
export class Elsewhere implements AsyncDisposable {
  readonly #stores: Stores;
  readonly #digest: Digest;
  readonly #holding: Holding;
  #progress: Progress;
  #file: SpoolFile;
  /** The other process makes room for another file. */
  #isRenewing = false;

  private constructor(stores: Stores, digest: Digest, holding: Holding, progress: Progress, file: SpoolFile) {
    this.#stores = stores;
    this.#digest = digest;
    this.#holding = holding;
    this.#progress = progress;
    this.#file = file;
  }

  /**
   * The other process's fill once it has a file; `undefined` when it ends before, or has none `until` then (by the
   * monotonic clock).
   */
  static async find(
    stores: Stores,
    digest: Digest,
    signal: AbortSignal,
    until = Number.POSITIVE_INFINITY,
  ): Promise<Elsewhere | undefined> {
    const holding = await stores.claims.holding(fillClaim(digest));
    while (holding !== undefined && !signal.aborted && performance.now() < until) {
      const { note, isOver } = await holding.look();
      const progress = parseProgress(note);
      const file = progress && (await fileOf(stores, digest, holding, progress));
      if (progress && file) return new Elsewhere(stores, digest, holding, progress, file);
      if (isOver) break;
      await sleep(LOOK_EVERY);
    }
    await holding?.[Symbol.asyncDispose]();
    return undefined;
  }

  /** What is read, as long as the other process does not begin anew. */
  get file(): SpoolFile {
    return this.#file;
  }

  /** Bytes. */
  get size(): number {
    return this.#progress.size;
  }

  /** Looks after the readers of `fill` until the other process is ready, or nobody reads; else the fill goes on running. */
  async follow(fill: Fill): Promise<void> {
    if (this.size !== fill.size) fill.end('detached', new SpoolFailed('the blob has another size'));
    else if (fill.bytes.file !== this.#file) fill.bytes.goOn(this.#file, this.#progress.base);
    for (let idle = 0; fill.state === 'running'; idle = fill.isFollowed ? 0 : idle + 1) {
      const isOver = await this.#look(fill);
      if (fill.state !== 'running') return;
      const { state } = this.#progress;
      if (state === 'verified' && !fill.bytes.isVerified) fill.bytes.verified();
      if (state === 'detached') fill.end(state, new SpoolFailed('another process cannot keep the blob'));
      else if (isOver && state === 'verified') fill.end('committed');
      else if (isOver) return;
      else if (idle === IDLE_LOOKS) fill.park(UNREAD);
      else await sleep(LOOK_EVERY);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#holding[Symbol.asyncDispose]();
  }

  async #look({ bytes }: Fill): Promise<boolean> {
    const { note, isOver } = await this.#holding.look();
    const progress = parseProgress(note) ?? this.#progress;
    if (progress.generation !== this.#progress.generation) {
      this.#isRenewing = true;
      bytes.beginAnew();
    }
    this.#progress = progress;
    if (this.#isRenewing) {
      const file = await fileOf(this.#stores, this.#digest, this.#holding, progress);
      if (file !== undefined) bytes.goOn(file);
      this.#isRenewing = file === undefined;
      this.#file = file ?? this.#file;
    } else if (progress.prefix > bytes.prefix) {
      this.#file.told(progress.prefix);
      bytes.announce();
    }
    return isOver;
  }
}

/** The file that is told of: nobody else's, and none of another generation, came there meanwhile. */
async function fileOf(
  { spool }: Stores,
  digest: Digest,
  holding: Holding,
  { generation, size }: Progress,
): Promise<SpoolFile | undefined> {
  const file = size > 0 ? await spool.view(digest) : undefined;
  const { note, isOver } = await holding.look();
  const now = parseProgress(note);
  if (file !== undefined && !isOver && now?.generation === generation && now.size === size) {
    file.told(now.prefix);
    return file;
  }
  await file?.close();
  return undefined;
}
