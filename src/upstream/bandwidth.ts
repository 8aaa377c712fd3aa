import { pipeline, type Readable, Transform } from 'node:stream';

/** Milliseconds, and what happens when some of them have passed. */
export interface Clock {
  now(): number;
  after(milliseconds: number, call: () => void): void;
}

const MONOTONIC: Clock = {
  now: () => performance.now(),
  after: (milliseconds, call) => setTimeout(call, milliseconds),
};

/** Share of a second's bytes that may go at once after a pause. */
const BURST = 1 / 10;
/** Of so many turns one is for what nobody waits for, so that it moves at all. */
const ROUND = 16;

interface Turn {
  readonly bytes: number;
  readonly taken: () => void;
}

/**
 * Shares so many bytes per second among downloads. Each waits with one small piece at a time behind the pieces of the
 * others, so that all get the same, and one that begins late or is small is soon done, however much the others want.
 */
export class Bandwidth {
  readonly #clock: Clock;
  readonly #awaited: Turn[] = [];
  readonly #background: Turn[] = [];
  #rate: number | undefined;
  #allowance = 0;
  #counted: number;
  #turns = 0;
  #isTicking = false;

  constructor(clock: Clock = MONOTONIC) {
    this.#clock = clock;
    this.#counted = clock.now();
  }

  /** Bytes per second; without a rate nothing waits. */
  set rate(rate: number | undefined) {
    this.#rate = rate;
    this.#serve();
  }

  /** The body at the pace of its turns; the body itself where there is no limit when it begins. */
  pace(body: Readable, isBackground = false): Readable {
    if (this.#rate === undefined) return body;
    const pass = async (paced: Transform, chunk: Buffer): Promise<void> => {
      for (let at = 0; at < chunk.length && !paced.destroyed; ) {
        const piece = chunk.subarray(at, at + this.#piece());
        await this.take(piece.length, isBackground);
        paced.push(piece);
        at += piece.length;
      }
    };
    const paced = new Transform({
      transform(chunk: Buffer, _, done) {
        pass(this, chunk).then(() => done(), done);
      },
    });
    // What breaks on one side is seen on the other.
    return pipeline(body, paced, () => undefined);
  }

  /** Resolves when so many bytes may go. */
  take(bytes: number, isBackground = false): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    (isBackground ? this.#background : this.#awaited).push({ bytes, taken: resolve });
    this.#serve();
    return promise;
  }

  #piece(): number {
    return Math.min(Math.max(Math.floor((this.#rate ?? Number.POSITIVE_INFINITY) / 64), 1 << 10), 1 << 16);
  }

  #serve(): void {
    this.#count();
    for (let turn = this.#next(); turn !== undefined; turn = this.#next()) {
      if (turn.bytes > this.#allowance) {
        this.#tick(turn);
        return;
      }
      this.#allowance -= turn.bytes;
      this.#turns += 1;
      (this.#awaited[0] === turn ? this.#awaited : this.#background).shift();
      turn.taken();
    }
  }

  #next(): Turn | undefined {
    const [awaited, background] = [this.#awaited[0], this.#background[0]];
    return this.#turns % ROUND === 0 ? (background ?? awaited) : (awaited ?? background);
  }

  #count(): void {
    const now = this.#clock.now();
    const rate = this.#rate ?? Number.POSITIVE_INFINITY;
    const earned = rate === Number.POSITIVE_INFINITY ? rate : (rate * (now - this.#counted)) / 1_000;
    this.#allowance = Math.min(this.#allowance + earned, Math.max(rate * BURST, this.#piece()));
    this.#counted = now;
  }

  #tick({ bytes }: Turn): void {
    if (this.#isTicking || this.#rate === undefined) return;
    this.#isTicking = true;
    this.#clock.after(Math.max(1, ((bytes - this.#allowance) * 1_000) / this.#rate), () => {
      this.#isTicking = false;
      this.#serve();
    });
  }
}
