import type { BreakerEvent } from '../events.ts';

const THRESHOLD = 3;
const PROBE_EVERY = 1_000;
const DEMAND_LASTS = 60_000;

/**
 * Stops asking an origin that cannot be connected to: open after three failed connections in a row, closed by the
 * first that works. While open and in demand, a probe tries every second; without demand for a minute it gives up
 * and lets the next request find out, whose failure opens it again.
 */
export class Breaker implements Disposable {
  readonly #probe: () => Promise<unknown>;
  readonly #changed: (state: BreakerEvent['state']) => void;
  #failures = 0;
  #open = false;
  #demanded = 0;
  #timer: NodeJS.Timeout | undefined;

  /** `probe` resolves when a connection can be made; it need not report to this breaker. */
  constructor(probe: () => Promise<unknown>, changed: (state: BreakerEvent['state']) => void) {
    this.#probe = probe;
    this.#changed = changed;
  }

  get open(): boolean {
    return this.#open;
  }

  /** Notes that somebody wants the origin; whether it may be asked. */
  admits(): boolean {
    this.#demanded = performance.now();
    return !this.#open;
  }

  failed(): void {
    this.#failures += 1;
    if (this.#open || this.#failures < THRESHOLD) return;
    this.#open = true;
    this.#demanded = performance.now();
    this.#changed('open');
    this.#schedule();
  }

  succeeded(): void {
    this.#failures = 0;
    if (!this.#open) return;
    this[Symbol.dispose]();
    this.#changed('closed');
  }

  [Symbol.dispose](): void {
    this.#open = false;
    clearTimeout(this.#timer);
  }

  #schedule(): void {
    this.#timer = setTimeout(() => this.#try(), PROBE_EVERY).unref();
  }

  async #try(): Promise<void> {
    if (performance.now() - this.#demanded > DEMAND_LASTS) {
      this.#open = false;
      this.#failures = THRESHOLD - 1;
      this.#changed('half-open');
      return;
    }
    try {
      await this.#probe();
      this.succeeded();
    } catch {
      if (this.#open) this.#schedule();
    }
  }
}
