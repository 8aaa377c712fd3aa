import { randomUUID } from 'node:crypto';
import { isGone, SELF } from '../store/holder.ts';
import { type Draw, drawnByOthers, type Figures, type Ledger } from './ledger.ts';

/** Milliseconds after which a draw without a sign of life counts as used. Too early does no harm but to the figure. */
const LIFE = 300_000;

/** A reservation that is not settled. */
export interface Open {
  readonly bytes: number;
  /** How many of them are on disk by now. */
  readonly written: () => number;
}

/**
 * What this process may add to the cache: it is drawn from the ledger before it is used, so that a crash leaves a
 * figure that is too high, never one that is too low. Bytes, everywhere.
 */
export class Allowance {
  readonly #self = randomUUID();
  readonly #ledger: Ledger;
  readonly #open = new Set<Open>();
  #known: { readonly used: number; readonly others: number; readonly trusted: boolean } | undefined;
  #drawn = 0;
  /** What was added since the last booking, less what went away; and without that. */
  #kept = 0;
  #grown = 0;
  #reserved = 0;
  #taken = 0;
  #booked = 0;

  constructor(ledger: Ledger) {
    this.#ledger = ledger;
  }

  /** On disk, at most; what others drew included. */
  get used(): number {
    return Math.max(0, (this.#known?.used ?? 0) + this.others + this.#kept);
  }

  get others(): number {
    return this.#known?.others ?? 0;
  }

  get trusted(): boolean {
    return this.#known?.trusted ?? false;
  }

  get reserved(): number {
    return this.#reserved;
  }

  /** Everything that was ever reserved. */
  get taken(): number {
    return this.#taken;
  }

  /** What can be reserved without asking the ledger. */
  get spare(): number {
    return this.#drawn - this.#kept - this.#reserved;
  }

  /** When the ledger was last written, on the monotonic clock. */
  get booked(): number {
    return this.#booked;
  }

  /** What is reserved and not on disk yet. */
  unwritten(): number {
    return [...this.#open].reduce((sum, { bytes, written }) => sum + Math.max(0, bytes - written()), 0);
  }

  /** `had` bytes of it are used already. */
  take(open: Open, had: number): void {
    this.#open.add(open);
    this.#kept -= had;
    this.#reserved += open.bytes;
    this.#taken += open.bytes;
  }

  /** `false` when it was settled before. */
  settle(open: Open, allocated: number): boolean {
    if (!this.#open.delete(open)) return false;
    this.#reserved -= open.bytes;
    this.#kept += allocated;
    this.#grown += Math.max(0, allocated);
    return true;
  }

  free(bytes: number): void {
    this.#kept -= bytes;
  }

  /** Learns what others drew; `false` when a booking has to tell. */
  async look(): Promise<boolean> {
    const figures = this.#known && (await this.#ledger.read());
    if (figures !== undefined) this.#learn(figures);
    return figures !== undefined;
  }

  /**
   * Books what was kept and draws, or gives back, so that `spare` bytes can be reserved without asking again, as far as
   * `size` allows. What is given back is not used from here on; what is drawn, only once it is written down.
   */
  async book(spare: number, size: number, revise = (figures: Figures): Figures => figures): Promise<void> {
    let [kept, grown, drawn] = [0, 0, 0];
    const change = (found: Figures): Figures => {
      [kept, grown] = [this.#kept, this.#grown];
      const figures = withoutLeft(found, this.#self);
      const next = revise({ ...figures, used: Math.max(0, figures.used + kept), grown: figures.grown + grown });
      const room = size - next.used - drawnByOthers(next, this.#self) - this.#reserved;
      drawn = Math.ceil(this.#reserved + Math.max(0, Math.min(spare, room)));
      this.#kept -= kept;
      this.#grown -= grown;
      this.#drawn = Math.min(drawn, this.#drawn - kept);
      this.#learn(next);
      return { ...next, draws: { ...next.draws, [this.#self]: { bytes: drawn, at: Date.now(), holder: SELF } } };
    };
    try {
      await this.#ledger.update(change, spare > 0);
      this.#drawn = drawn;
      this.#booked = performance.now();
    } catch (error) {
      // Whether it was written is not known: this holds in both cases.
      this.#kept += kept;
      this.#grown += grown;
      this.#drawn += kept;
      throw error;
    }
  }

  /** Counts anew: `walk` finds what lies there, reservations that are being written included. */
  async recount(
    walk: () => Promise<number>,
    book: (revise: (figures: Figures) => Figures) => Promise<void>,
  ): Promise<void> {
    let before = 0;
    await book((figures) => {
      before = figures.grown;
      return figures;
    });
    const running = [...this.#open].map((open) => ({ open, written: open.written() }));
    const bytes = await walk();
    await book((figures) => {
      const twice = running.reduce((sum, { open, written }) => (this.#open.has(open) ? sum + written : sum), 0);
      return { ...figures, used: Math.max(0, bytes - twice) + Math.max(0, figures.grown - before), trusted: true };
    });
  }

  #learn(figures: Figures): void {
    this.#known = { used: figures.used, others: drawnByOthers(figures, this.#self), trusted: figures.trusted };
  }
}

/**
 * The figures with what is drawn by processes that are no more, or by `self`, taken out of the draws. What they left
 * is not known: until it was counted, everything that they drew.
 */
function withoutLeft({ used, grown, trusted, draws }: Figures, self: string): Figures {
  const others = Object.entries(draws).filter(([id]) => id !== self);
  const alive = others.filter(([, draw]) => isAlive(draw));
  const left = others.filter(([, draw]) => !isAlive(draw)).reduce((sum, [, { bytes }]) => sum + bytes, 0);
  return {
    used: used + left,
    grown: grown + left,
    trusted: trusted && left === 0,
    draws: Object.fromEntries(alive),
  };
}

function isAlive({ at, holder }: Draw): boolean {
  return Date.now() - at < LIFE && !(holder !== undefined && isGone(holder));
}
