import { Recent } from '../auth/recent.ts';

/** Wrong passwords that a user may show at once, and milliseconds after which one more is allowed. */
const BURST = 10;
const EVERY = 6_000;
const REMEMBERED = 10_000;

/** How often a password may be tried for a user name, whether or not there is such a user. */
export class Attempts {
  /** Epoch milliseconds at which a name has all its attempts again. */
  readonly #full = new Recent<number>(REMEMBERED);
  readonly #now: () => number;

  constructor(now: () => number) {
    this.#now = now;
  }

  /** Takes one attempt; returns 0, or the milliseconds until there is one. */
  take(name: string): number {
    const now = this.#now();
    const full = Math.max(this.#full.get(name) ?? 0, now) + EVERY;
    const wait = full - now - BURST * EVERY;
    if (wait > 0) return wait;
    this.#full.set(name, full);
    return 0;
  }

  /** Gives back an attempt that was none. */
  giveBack(name: string): void {
    this.#full.set(name, (this.#full.get(name) ?? 0) - EVERY);
  }
}
