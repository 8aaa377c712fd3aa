import { publish } from '../events.ts';
import type { ContentIndex } from '../index/content-index.ts';
import type { Space } from '../store/space.ts';
import type { Completion } from './completion.ts';
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
  readonly completion: Completion;
  readonly eviction: Eviction;
  readonly index: ContentIndex;
  readonly parked: Parked;
  readonly space: Pick<Space, 'state' | 'onPressure'>;
  /** Counts anew what the cache takes, at leisure. */
  readonly recount: (signal: AbortSignal) => Promise<void>;
  /** Removes temporary files without a write since then. */
  readonly sweep: (olderThan: Date) => Promise<void>;
}

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
    this.#on.parked.close();
    await this.#on.eviction.close();
    await this.#on.index[Symbol.asyncDispose]();
    await this.#round;
  }

  async #first(): Promise<void> {
    this.#on.index.start();
    await this.#sweep();
    if (!this.#on.space.state().trusted) await this.#on.recount(this.#abort.signal);
  }

  async #again(): Promise<void> {
    await this.#sweep();
    await this.#on.recount(this.#abort.signal);
    await this.#on.index.rebuild();
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
