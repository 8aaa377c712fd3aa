import { publish } from '../events.ts';
import type { Digest } from '../oci/digest.ts';
import { type Claim, type Claims, fillClaim } from '../store/claim.ts';
import type { Content } from '../store/content.ts';
import { BLOCK, NoSpace, type Reservation, type Space, toBlocks } from '../store/space.ts';
import type { Spool } from '../store/spool.ts';
import type { SpoolFile } from '../store/spool-file.ts';
import { tellFailed, troubleOf } from '../store/trouble.ts';
import type { Why } from './answer.ts';
import { formatProgress, type Progress, parseProgress } from './progress.ts';

/** Where blobs are kept, and on their way there. */
export interface Stores {
  readonly content: Content;
  readonly spool: Spool;
  readonly claims: Claims;
  readonly space: Space;
}

/** Why a blob is not kept. */
export type Unkept = Extract<Why, 'no-space' | 'not-cacheable'>;

/** What a fill writes beside its bytes: a claim, and what is known of the bytes, each of them twice for a moment. */
const BESIDE = 6 * BLOCK;
/** A byte in so many may be taken by the file system's notes of where the others are. */
const MAPPED = 1024;
/** Milliseconds between two notes of the progress. */
const NOTE_EVERY = 20;
/** Milliseconds after which a fill that gets nothing learns that another process went on with it. */
const CHECK_EVERY = 1000;

/** Where one blob comes in: the right to fill it, its file in the spool, and the space that both take. */
export class Place {
  readonly #stores: Stores;
  readonly #digest: Digest;
  readonly #claim: Claim;
  readonly #beside: Reservation;
  #file: SpoolFile;
  #body: Reservation | undefined;
  /** What lay in the spool before, and what left it under a name of its own (bytes on disk). */
  #had: number;
  #adopted = 0;
  /** Resolves when another process took the claim over. */
  readonly lost: Promise<unknown>;
  readonly #watchdog: NodeJS.Timeout;
  /** What others are told by the claim. */
  #progress: Progress;
  #noting: NodeJS.Timeout | undefined;

  private constructor(stores: Stores, claim: Claim, beside: Reservation, file: SpoolFile, had: number) {
    this.#stores = stores;
    this.#digest = file.expected;
    this.#claim = claim;
    this.#beside = beside;
    this.#file = file;
    this.#had = had;
    file.isHeld = () => claim.isHeld();
    this.lost = new Promise((resolve) => claim.lost.addEventListener('abort', resolve, { once: true }));
    this.#watchdog = setInterval(() => this.#check(), CHECK_EVERY).unref();
    this.#progress = { generation: 0, size: 0, base: file.extents.prefix(), prefix: 0, state: 'filling' };
  }

  /**
   * The right to fill and the file to do it in, in this order; `taken` while another process has the right; else why
   * nothing can be kept now.
   */
  static async take(stores: Stores, digest: Digest): Promise<Place | Unkept | 'taken'> {
    const { spool, claims, space } = stores;
    let beside: Reservation | undefined;
    let claim: Claim | undefined;
    let why: Unkept | 'taken' = 'taken';
    try {
      beside = await space.record(BESIDE);
      claim = await claims.acquire(fillClaim(digest));
      const file = claim && (await spool.open(digest, parseProgress(claim.left)?.prefix));
      const had = file && file.extents.bytes > 0 ? await spool.measure(digest) : 0;
      if (claim && file) return new Place(stores, claim, beside, file, had);
    } catch (error) {
      space.failed(error);
      tellFailed('cannot write to the spool: content passes through without being kept', error);
      why = error instanceof NoSpace || troubleOf(error) !== undefined ? 'no-space' : 'not-cacheable';
    }
    if (claim !== undefined) await release(claim);
    beside?.release();
    return why;
  }

  get file(): SpoolFile {
    return this.#file;
  }

  /** Sets space aside for a blob of `size` bytes; `false` when there is none. */
  async reserve(size: number, signal: AbortSignal): Promise<boolean> {
    const written = (): number => this.#file.allocated;
    const bytes = toBlocks(size + size / MAPPED);
    this.#body = await this.#stores.space.reserve(bytes, { had: this.#had, written, signal });
    if (this.#body === undefined) return false;
    this.#file.size = size;
    this.#note({ size }).catch(() => undefined);
    return true;
  }

  /** Others hear that the bytes are wrong before these give way to others. */
  async renew(): Promise<SpoolFile> {
    const { size, generation } = this.#progress;
    await this.#note({ generation: generation + 1, size: 0, base: 0 });
    await this.#file.discard();
    await this.#file.close();
    if (this.#body === undefined) this.#stores.space.freed(this.#had);
    this.#had = 0;
    this.#file = await this.#stores.spool.open(this.#digest);
    this.#file.isHeld = () => this.#claim.isHeld();
    this.#note({ size }).catch(() => undefined);
    return this.#file;
  }

  async commit(): Promise<void> {
    const path = await this.#file.finish();
    this.#adopted = this.#file.allocated;
    try {
      await this.#stores.content.adoptBlob(this.#digest, path);
    } catch (error) {
      await this.#file.discard();
      this.#adopted = 0;
      throw error;
    }
    publish('content', { phase: 'stored', digest: this.#digest, size: this.#file.size ?? 0 });
  }

  /** There are more bytes. */
  progress(): void {
    this.#noting ??= setTimeout(() => this.#note().catch(() => undefined), NOTE_EVERY).unref();
  }

  /** Saves what is there for a later life of the process. */
  async checkpoint(): Promise<void> {
    try {
      await this.#file.checkpoint();
    } catch (error) {
      this.failed(error);
      tellFailed(`cannot record the progress of ${this.#digest}`, error, { level: 'warn' });
    }
  }

  /** All bytes are right, or none will be kept. */
  tell(state: 'verified' | 'detached'): void {
    this.#note({ state }).catch(() => undefined);
  }

  /** A write failed. */
  failed(error: unknown): void {
    this.#stores.space.failed(error);
  }

  /** Goes without a fill: what is there stays for the next one; where nothing is, nothing stays. */
  async leave(): Promise<void> {
    if (this.#file.extents.bytes === 0) await this.#file.discard();
    await this.#file.close();
    await this.free();
  }

  /** Once the file is closed, or has no name in the spool any more. */
  async free(): Promise<void> {
    const { space, spool } = this.#stores;
    // What was adopted left nothing behind.
    const left = this.#adopted || (await spool.measure(this.#digest).catch(() => this.#file.size ?? 0));
    if (this.#body === undefined) space.freed(this.#had - left);
    else this.#body.keep(left);
    clearTimeout(this.#noting);
    clearInterval(this.#watchdog);
    await release(this.#claim);
    this.#beside.release();
  }

  /** Whoever waits for an upstream's answer or for the disk makes progress; whoever waits for bytes has to show some. */
  #check(): void {
    const { size, state } = this.#progress;
    if (size === 0 || state === 'verified') this.#claim.progress();
    else this.#claim.isHeld();
  }

  #note(change: Partial<Progress> = {}): Promise<void> {
    clearTimeout(this.#noting);
    this.#noting = undefined;
    const progress = { ...this.#progress, ...change };
    this.#progress = { ...progress, prefix: progress.size === 0 ? 0 : this.#file.extents.prefix() };
    return this.#claim.note(formatProgress(this.#progress));
  }
}

async function release(claim: Claim): Promise<void> {
  try {
    await claim.release();
  } catch (error) {
    publish('notice', { level: 'warn', message: 'cannot release the claim on a fill', error });
  }
}
