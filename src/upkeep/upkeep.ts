import { publish } from '../events.ts';
import type { ContentIndex } from '../index/content-index.ts';
import type { Claims } from '../store/claim.ts';
import type { Space } from '../store/space.ts';
import type { Eviction } from './eviction.ts';
import type { Parked } from './parked.ts';

const HOUR = 3_600_000;
const DAY = 24 * HOUR;

/** When what is done, in milliseconds. */
export interface Schedule {
  /** After the doors are open. */
  readonly begin: number;
  readonly every: number;
  /** How long a partial download waits for somebody to go on with it. */
  readonly parked: number;
  /** How old a temporary file has to be for its writer to be gone. */
  readonly temporaries: number;
}

const SCHEDULE: Schedule = { begin: 1000, every: DAY, parked: 7 * DAY, temporaries: HOUR };

/** What upkeep looks after. */
export interface Kept {
  readonly completion: Disposable;
  readonly prefetch: Disposable;
  readonly eviction: Eviction;
  readonly index: ContentIndex;
  readonly parked: Parked;
  readonly claims: Claims;
  /** When a round ended, of whichever process: milliseconds since 1970; remembered from then on. */
  readonly rounds: { last(): Promise<number | undefined>; ended(): Promise<void> };
  readonly space: Pick<Space, 'state' | 'onPressure'>;
  /** Counts anew what the cache takes, at leisure. */
  readonly recount: (signal: AbortSignal) => Promise<void>;
  /** Removes temporary files without a write since then. */
  readonly sweep: (olderThan: Date) => Promise<void>;
}

/** What one process does for all that share the cache. */
const CLAIM = 'upkeep/round';
/** Milliseconds between two signs of life. */
const BEAT = 2000;

/** Evicts when it must; once a day, and soon after the start, puts right what has drifted, at its leisure. */
export class Upkeep implements AsyncDisposable {
  readonly #on: Kept;
  readonly #schedule: Schedule;
  readonly #abort = new AbortController();
  #timer: NodeJS.Timeout | undefined;
  #round: Promise<void> = Promise.resolve();

  constructor(on: Kept, schedule = SCHEDULE) {
    this.#on = on;
    this.#schedule = schedule;
    on.space.onPressure((wanted) => on.eviction.run(wanted));
  }

  /** To be called when clients are served. */
  start(): void {
    this.#later(this.#schedule.begin, () => this.#first());
  }

  /** Stops promptly, whatever is going on. */
  async [Symbol.asyncDispose](): Promise<void> {
    clearTimeout(this.#timer);
    this.#abort.abort();
    this.#on.completion[Symbol.dispose]();
    this.#on.prefetch[Symbol.dispose]();
    this.#on.parked.close();
    await this.#on.eviction.close();
    await this.#on.index[Symbol.asyncDispose]();
    await this.#round;
  }

  async #first(): Promise<void> {
    this.#on.index.start();
    await this.#alone(async () => {
      await this.#sweep();
      if (!this.#on.space.state().trusted) await this.#on.recount(this.#abort.signal);
    });
  }

  async #again(): Promise<void> {
    await this.#alone(async () => {
      const last = await this.#on.rounds.last();
      const passed = Date.now() - (last ?? Number.NEGATIVE_INFINITY);
      // After a clock that was wrong the last one may be to come.
      if (passed >= 0 && passed < this.#schedule.every / 2) return;
      await this.#sweep();
      await this.#on.recount(this.#abort.signal);
      await this.#on.index.rebuild();
      await this.#on.rounds.ended();
    });
  }

  /** Unless another process is at it. Where no claim can be had, on a disk in trouble, nothing is lost by doing it twice. */
  async #alone(action: () => Promise<void>): Promise<void> {
    const claim = await this.#on.claims.acquire(CLAIM).catch(() => 'none' as const);
    if (claim === undefined) return;
    const beat = setInterval(() => claim !== 'none' && claim.progress(), BEAT).unref();
    try {
      await action();
    } finally {
      clearInterval(beat);
      if (claim !== 'none') await claim.release().catch(() => undefined);
    }
  }

  async #sweep(): Promise<void> {
    const { parked, temporaries } = this.#schedule;
    await this.#on.sweep(new Date(Date.now() - temporaries));
    const oldest = Date.now() - parked;
    await this.#on.parked.drop(({ modified }) => modified.getTime() < oldest, this.#abort.signal);
  }

  #later(delay: number, action: () => Promise<void>): void {
    this.#timer = setTimeout(() => {
      this.#round = action()
        .catch((error: unknown) => this.#complain(error))
        .finally(() => {
          if (!this.#abort.signal.aborted) this.#later(this.#schedule.every, () => this.#again());
        });
    }, delay).unref();
  }

  #complain(error: unknown): void {
    if (this.#abort.signal.aborted) return;
    publish('notice', { level: 'warn', message: 'the daily upkeep of the cache failed', error });
  }
}
