import { setTimeout as sleep } from 'node:timers/promises';
import { publish } from '../events.ts';
import type { ContentIndex } from '../index/content-index.ts';
import { at } from '../index/inventory.ts';
import type { Digest } from '../oci/digest.ts';
import type { Backend } from '../store/backend.ts';
import type { Claims } from '../store/claim.ts';
import type { Content } from '../store/content.ts';
import type { Space } from '../store/space.ts';
import { inWords } from './figures.ts';
import type { Parked } from './parked.ts';
import { type Plan, planEviction } from './plan.ts';
import { type Stock, stockOfFiles, stockOfIndex } from './stock.ts';

/** What eviction works on. */
export interface Evictable {
  readonly content: Content;
  readonly backend: Backend;
  readonly index: ContentIndex;
  readonly parked: Parked;
  readonly claims: Claims;
  readonly space: Pick<Space, 'state'>;
  /** Counts anew what the cache takes. */
  readonly recount: (signal: AbortSignal) => Promise<void>;
  /** Takes what was evicted out of memory. */
  readonly forget: (digest: Digest) => void;
}

export interface EvictionPolicy {
  /** The share of the limit down to which is evicted. */
  readonly low: number;
  /** Patterns of images that are never evicted. */
  readonly keep: readonly string[];
}

/** Milliseconds between two counts for want of anything to evict. */
const COUNT_AGAIN = 600_000;
/** Milliseconds until it is tried again after nothing could be evicted. */
const TRY_AGAIN = 10_000;
/** Milliseconds that another process is given to make room. */
const OTHERS = 500;
const CLAIM = 'upkeep/eviction';
/** How many blobs are removed at the same time. */
const WIDTH = 8;
const STEP = 1000;
/** Plans that are made before it is given up; each but the first only because files took less than was thought. */
const ROUNDS = 4;
/** What the promise leaves for records, at most: bytes, and as a share of the limit. */
const MARGIN = { bytes: 80 << 20, share: 1 / 24 };

/** What one run has evicted. */
interface Gone {
  readonly images: number;
  readonly objects: number;
  readonly bytes: number;
  readonly lastUse: number;
}

/** Makes room in the cache when it runs low. */
export class Eviction {
  readonly #on: Evictable;
  readonly #policy: () => EvictionPolicy;
  readonly #abort = new AbortController();
  #running: Promise<void> | undefined;
  #isStuck = false;
  /** When nothing could be evicted, and whether that was for something that is waited for. */
  #inVain: { readonly at: number; readonly isUrgent: boolean } | undefined;
  /** Blobs that were gone before they were removed: somebody deletes files, and the account does not know. */
  #vanished = 0;
  #counted = Number.NEGATIVE_INFINITY;

  constructor(on: Evictable, policy: () => EvictionPolicy) {
    this.#on = on;
    this.#policy = policy;
  }

  /** Evicts until the low mark is reached and `wanted` bytes fit, or nothing is left that may go. */
  run(wanted: number): Promise<void> {
    this.#running ??= this.#alone(wanted)
      .catch((error: unknown) => {
        if (!this.#abort.signal.aborted) throw error;
      })
      .finally(() => {
        this.#running = undefined;
      });
    return this.#running;
  }

  /** Stops what runs; afterwards nothing is evicted any more. */
  async close(): Promise<void> {
    this.#abort.abort();
    await this.#running;
  }

  /** While another process evicts from the same cache, this one waits; a disk may be too full for a claim. */
  async #alone(wanted: number): Promise<void> {
    const { claims } = this.#on;
    const claim = await claims.acquire(CLAIM).catch(() => 'none' as const);
    if (claim === undefined) return await sleep(OTHERS, undefined, { signal: this.#abort.signal });
    try {
      await this.#run(wanted);
    } finally {
      if (claim !== 'none') await claim.release().catch(() => undefined);
    }
  }

  async #run(wanted: number): Promise<void> {
    if (!this.#on.space.state().trusted) await this.#recount();
    if (this.#excess(wanted) <= 0) this.#isStuck = false;
    if (this.#excess(wanted) <= 0 || this.#isInVain(wanted) || this.#abort.signal.aborted) return;
    await this.#on.parked.drop(() => this.#excess(wanted) > 0, this.#abort.signal);
    const gone = await this.#evict(wanted);
    if (gone.objects > 0) this.#tell(gone);
    this.#inVain = gone.objects > 0 ? undefined : { at: performance.now(), isUrgent: wanted > 0 };
    const mayCount = this.#vanished > 0 || performance.now() - this.#counted > COUNT_AGAIN;
    if (this.#missing(wanted) > 0 && mayCount && !this.#abort.signal.aborted) {
      // What the index does not know of cannot be evicted either.
      void this.#on.index.rebuild();
      await this.#recount();
    }
    this.#complain(wanted);
  }

  async #evict(wanted: number): Promise<Gone> {
    const gone = { images: 0, objects: 0, bytes: 0, lastUse: -Infinity };
    for (let round = 0; round < ROUNDS && this.#excess(wanted) > 0; round += 1) {
      const plan = await this.#once(wanted);
      if (plan.evicted.length === 0) break;
      gone.images += plan.images;
      gone.objects += plan.evicted.length;
      gone.bytes += plan.bytes;
      gone.lastUse = Math.max(gone.lastUse, plan.lastUse ?? -Infinity);
    }
    return gone;
  }

  #isInVain(wanted: number): boolean {
    if (this.#inVain === undefined || performance.now() - this.#inVain.at > TRY_AGAIN) return false;
    return this.#inVain.isUrgent || wanted === 0;
  }

  async #recount(): Promise<void> {
    await this.#on.recount(this.#abort.signal);
    this.#counted = performance.now();
    this.#vanished = 0;
  }

  async #once(wanted: number): Promise<Plan> {
    const { index, content, backend } = this.#on;
    const { keep } = this.#policy();
    const stock = (await stockOfIndex(index, content, keep)) ?? (await stockOfFiles(backend, keep));
    const calm = planEviction(stock.inventory, this.#excess(wanted));
    const missing = this.#missing(wanted);
    const plan = calm.bytes >= missing ? calm : planEviction(stock.inventory, missing, true);
    return await this.#apply(plan, stock);
  }

  /** Removes what is planned; answers that read it go on. */
  async #apply(plan: Plan, stock: Stock): Promise<Plan> {
    for (let from = 0; from < plan.evicted.length; from += STEP) {
      const positions = plan.evicted.slice(from, from + STEP);
      const digests = (await stock.digests(positions.map((position) => at(stock.inventory.ids, position)))).values();
      const remove = async (): Promise<void> => {
        for (const digest of digests) if (!this.#abort.signal.aborted) await this.#remove(digest);
      };
      await Promise.all(Array.from({ length: WIDTH }, remove));
    }
    return plan;
  }

  async #remove(digest: Digest): Promise<void> {
    if (!(await this.#on.content.removeBlob(digest))) this.#vanished += 1;
    this.#on.forget(digest);
    publish('content', { phase: 'removed', digest });
  }

  /** Bytes that have to go for the low mark to be reached, and for what is waited for to fit. */
  #excess(wanted: number): number {
    const { used, reserved, limit } = this.#on.space.state();
    return Math.max(used + reserved - limit * this.#policy().low, this.#missing(wanted));
  }

  /** Bytes that what is waited for lacks; in the background, those above the limit. */
  #missing(wanted: number): number {
    const { used, reserved, limit } = this.#on.space.state();
    const margin = wanted === 0 ? 0 : Math.min(MARGIN.bytes, limit * MARGIN.share);
    return used + reserved + wanted - (limit - margin);
  }

  #tell({ images, objects, bytes, lastUse }: Gone): void {
    publish('eviction', { images, bytes });
    const { used, limit } = this.#on.space.state();
    const what = images === 0 ? `${objects} blobs` : `${images} images (${objects} objects)`;
    const when = new Date(lastUse).toISOString().slice(0, 'yyyy-mm-ddThh:mm'.length).replace('T', ' ');
    const left = `${inWords(used)} of ${inWords(limit)} are in use`;
    const message = `evicted ${what}, ${inWords(bytes)}, last used on ${when} UTC or before; ${left}`;
    publish('notice', { level: 'info', message });
  }

  /** Says once, until it is over, that nothing more can be done. */
  #complain(wanted: number): void {
    const isStuck = this.#missing(wanted) > 0 && !this.#abort.signal.aborted;
    if (isStuck && !this.#isStuck) {
      const message =
        'nothing more can be evicted: what is left is in storage.keep or too small; what is pulled passes through unkept';
      publish('notice', { level: 'warn', message });
    }
    this.#isStuck = isStuck;
  }
}
