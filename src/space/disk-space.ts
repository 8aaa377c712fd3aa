import { statfs } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { publish } from '../events.ts';
import type { Claims } from '../store/claim.ts';
import { entriesOf } from '../store/disk.ts';
import { Gate } from '../store/gate.ts';
import type { Layout } from '../store/layout.ts';
import { NoSpace, type Reservation, type ReserveOptions, type Space, type SpaceState } from '../store/space.ts';
import { tellFailed } from '../store/trouble.ts';
import { Allowance, type Open } from './allowance.ts';
import { type Figures, Ledger } from './ledger.ts';
import { Trouble } from './trouble.ts';

/** Bytes; `high` is the share of the size above which eviction begins in the background; `processes` draw from it, one unless given. */
export interface Limits {
  readonly size: number;
  readonly reserve: number;
  readonly high: number;
  readonly processes?: number;
}

/** What is not accounted one by one: the ledger, claims, names of temporary files, probes. */
const OVERHEAD = 256 << 10;
/** Milliseconds for which a reservation waits for eviction. */
const PATIENCE = 1000;
const LOOK_EVERY = 10_000;
/** Milliseconds for which a look at the file system is good enough for a record. */
const FRESH = 1000;
const SIGN_EVERY = 60_000;

/** The space of `cache/` and `spool/`, whichever processes share them. */
export class DiskSpace implements Space, AsyncDisposable {
  readonly #paths: Pick<Layout, 'root' | 'cache' | 'spool'>;
  readonly #limits: Limits;
  readonly #ledger: Ledger;
  readonly #allowance: Allowance;
  readonly #trouble: Trouble;
  readonly #turns = new Gate(1);
  readonly #looking: NodeJS.Timeout;
  #evict: ((wanted: number) => Promise<void>) | undefined;
  #evicting: Promise<void> | undefined;
  readonly #wanted: number[] = [];
  /** What can be reserved before the file system is down to the reserve, and when that was looked at. */
  #room = 0;
  #looked = Number.NEGATIVE_INFINITY;
  #booking: Promise<void> | undefined;

  constructor(paths: Pick<Layout, 'root' | 'cache' | 'spool'>, claims: Claims, limits: Limits) {
    this.#paths = paths;
    this.#limits = limits;
    this.#ledger = new Ledger(join(paths.cache, '.space'), claims, () => this.#begin());
    this.#allowance = new Allowance(this.#ledger);
    this.#trouble = new Trouble(paths.root, [join(paths.cache, '.tmp'), paths.spool]);
    this.#looking = setInterval(() => void this.refresh(), LOOK_EVERY).unref();
  }

  async reserve(bytes: number, options: ReserveOptions = {}): Promise<Reservation | undefined> {
    const reservation = (await this.#try(bytes, options)) ?? (await this.#tryAfterEviction(bytes, options));
    if (reservation === undefined) this.#refuse(bytes);
    else if (this.#isHigh()) void this.#press();
    return reservation;
  }

  async record(bytes: number): Promise<Reservation> {
    const isFresh = performance.now() - this.#looked < FRESH;
    if (isFresh && this.#fits(bytes, 0)) return this.#take(bytes);
    const reservation = await this.#try(bytes, {}, 0);
    if (reservation !== undefined) return reservation;
    this.#refuse(bytes);
    throw new NoSpace('there is no space for a record');
  }

  freed(bytes: number): void {
    this.#allowance.free(bytes);
    this.#room += bytes;
    this.#giveBack();
  }

  readonly failed = (error: unknown): void => {
    this.#trouble.report(error);
  };

  state(): SpaceState {
    const { used, reserved, trusted } = this.#allowance;
    return { used, reserved, trusted, limit: Math.max(0, Math.min(this.#size, used + reserved + this.#room)) };
  }

  onPressure(evict: (wanted: number) => Promise<void>): void {
    this.#evict = evict;
  }

  async recount(walk: () => Promise<number>): Promise<void> {
    await this.#allowance.recount(walk, (revise) => this.#book(revise));
    await this.refresh();
  }

  /** Looks at the disk, as happens every ten seconds by itself, and has space made where it runs low. */
  async refresh(): Promise<void> {
    await this.#turns.run(() => this.#look(performance.now() - this.#allowance.booked > SIGN_EVERY)).catch(this.#fail);
    const { used, reserved, limit } = this.state();
    publish('space', { phase: 'state', used, reserved, limit });
    if (this.#isHigh()) void this.#press();
  }

  /** Gives back what was drawn and not used. */
  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#looking);
    this.#trouble.close();
    await this.#turns.run(async () => {
      if (this.#allowance.booked > 0) await this.#allowance.book(0, this.#size).catch(this.#fail);
      await this.#ledger.close();
    });
  }

  get #size(): number {
    const { size } = this.#limits;
    return size - Math.min(OVERHEAD, size / 32);
  }

  /** What is drawn at a time: together no more than by one process, since what is drawn counts as used. */
  get #step(): number {
    const { size, processes = 1 } = this.#limits;
    return Math.min(Math.max(64 << 20, size / 100), size / 16) / processes;
  }

  /** Where blobs find no space any more, links, tags and manifests still do. */
  get #headroom(): number {
    return Math.min(64 << 20, this.#limits.size / 32);
  }

  #isHigh(): boolean {
    const { used, reserved, limit } = this.state();
    return used + reserved > limit * this.#limits.high;
  }

  #fits(need: number, headroom: number): boolean {
    const { spare, used, reserved } = this.#allowance;
    if (this.#trouble.isThere || need > spare || need > this.#room) return false;
    return used + reserved + need <= this.#size - headroom;
  }

  #take(bytes: number, { had = 0, written = () => 0 }: ReserveOptions = {}): Reservation {
    const open: Open = { bytes, written };
    this.#allowance.take(open, had);
    this.#room -= bytes - had;
    const settle = (allocated: number): void => {
      if (!this.#allowance.settle(open, allocated)) return;
      this.#room += bytes - allocated;
      this.#giveBack();
    };
    return { keep: settle, release: () => settle(0) };
  }

  #try(bytes: number, options: ReserveOptions, headroom = this.#headroom): Promise<Reservation | undefined> {
    return this.#turns.run(async () => {
      const need = bytes - (options.had ?? 0);
      if (this.#trouble.isThere) return undefined;
      try {
        await this.#look();
        if (need > this.#allowance.spare) await this.#allowance.book(need + this.#step, this.#size);
      } catch (error) {
        this.#fail(error);
        return undefined;
      }
      return this.#fits(need, headroom) ? this.#take(bytes, options) : undefined;
    });
  }

  async #tryAfterEviction(bytes: number, options: ReserveOptions): Promise<Reservation | undefined> {
    const need = bytes - (options.had ?? 0);
    const most = Math.min(this.#size - this.#headroom, this.#room + this.#allowance.used);
    if (this.#evict === undefined || this.#trouble.isThere || need > most) return undefined;
    const end = performance.now() + PATIENCE;
    this.#wanted.push(need);
    try {
      // An eviction that is running does not know of this wish: the next one does.
      for (let turn = 0; turn < 2; turn += 1) {
        const evicted = this.#press().then(() => true);
        for (let isOver = false; !isOver; ) {
          isOver = await Promise.race([evicted, sleep(50, false)]);
          const reservation = await this.#try(bytes, options);
          const isEnough = performance.now() > end || options.signal?.aborted === true;
          if (reservation !== undefined || isEnough) return reservation;
        }
      }
      return undefined;
    } finally {
      this.#wanted.splice(this.#wanted.indexOf(need), 1);
    }
  }

  #press(): Promise<void> {
    // Not everything goes for what many want at once: the largest wish is met, and others as far as they are small.
    const all = this.#wanted.reduce((sum, need) => sum + need, 0);
    const wanted = Math.max(0, ...this.#wanted, Math.min(all, this.#size / 8));
    this.#evicting ??= (this.#evict?.(wanted) ?? Promise.resolve())
      .catch((error: unknown) => tellFailed('eviction failed', error))
      .finally(() => {
        this.#evicting = undefined;
      });
    return this.#evicting;
  }

  /** Learns what others drew before it asks the file system what is left, so that what they write is counted once. */
  async #look(mustBook = false): Promise<void> {
    const unwritten = this.#allowance.unwritten();
    const { taken } = this.#allowance;
    if (mustBook || !(await this.#allowance.look())) {
      await this.#allowance.book(Math.min(this.#allowance.spare, this.#step), this.#size);
    }
    const { bavail, bsize } = await statfs(this.#paths.root);
    const promised = unwritten + this.#allowance.taken - taken + this.#allowance.others;
    this.#room = bavail * bsize - this.#limits.reserve - promised;
    this.#looked = performance.now();
  }

  #giveBack(): void {
    if (this.#booking !== undefined || this.#allowance.spare < 3 * this.#step) return;
    const booked = this.#book().catch(this.#fail);
    this.#booking = booked.finally(() => {
      this.#booking = undefined;
    });
  }

  #book(revise?: (figures: Figures) => Figures): Promise<void> {
    return this.#turns.run(() => this.#allowance.book(this.#step, this.#size, revise));
  }

  #refuse(bytes: number): void {
    publish('space', { phase: 'refused', bytes });
    if (this.#trouble.isThere) return;
    const message = 'storage.size or storage.reserve leaves no room: what is pulled passes through unkept';
    publish('notice', { level: 'warn', message });
  }

  readonly #fail = (error: unknown): void => {
    this.failed(error);
    tellFailed('cannot keep account of the space that the cache takes', error);
  };

  /** Where nothing is yet, nothing has to be counted; else the cache takes at most what the whole file system does. */
  async #begin(): Promise<Figures> {
    const names = [...(await entriesOf(this.#paths.cache)), ...(await entriesOf(this.#paths.spool))];
    const isEmpty = names.every((name) => name.startsWith('.') || name === 'claims');
    const { blocks, bfree, bsize } = await statfs(this.#paths.root);
    const used = isEmpty ? 0 : Math.floor(Math.min(this.#size, (blocks - bfree) * bsize));
    return { used, grown: 0, trusted: isEmpty, draws: {} };
  }
}
