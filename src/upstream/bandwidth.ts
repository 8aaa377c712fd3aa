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
  readonly #waiting: Turn[] = [];
  #rate = Number.POSITIVE_INFINITY;
  #allowance = 0;
  #counted: number;
  #isWaiting = false;

  constructor(clock: Clock = MONOTONIC) {
    this.#clock = clock;
    this.#counted = clock.now();
  }

  get isSet(): boolean {
    return this.#rate !== Number.POSITIVE_INFINITY;
  }

  /** Bytes per second; without a rate nothing waits. */
  set rate(rate: number | undefined) {
    this.#rate = rate ?? Number.POSITIVE_INFINITY;
    this.#serve();
  }

  /** The body at the pace of its turns; the body itself where there is no limit when it begins. */
  pace(body: Readable): Readable {
    if (!this.isSet) return body;
    const pass = async (paced: Transform, chunk: Buffer): Promise<void> => {
      for (let at = 0; at < chunk.length && !paced.destroyed; ) {
        const piece = chunk.subarray(at, at + this.#piece());
        await new Promise<void>((taken) => {
          this.#waiting.push({ bytes: piece.length, taken });
          this.#serve();
        });
        paced.push(piece);
        at += piece.length;
      }
    };
    const transform: Transform['_transform'] = (chunk, _, done) => void pass(paced, chunk).then(() => done(), done);
    const paced = new Transform({ transform });
    // What breaks on one side is seen on the other.
    return pipeline(body, paced, () => undefined);
  }

  #piece(): number {
    return Math.min(Math.max(Math.floor(this.#rate / 64), 1 << 10), 1 << 16);
  }

  #serve(): void {
    const now = this.#clock.now();
    const earned = now === this.#counted ? 0 : (this.#rate * (now - this.#counted)) / 1_000;
    // A piece that was cut when there was more to share must still fit.
    const most = Math.max(this.#rate * BURST, this.#piece(), this.#waiting[0]?.bytes ?? 0);
    this.#allowance = this.#rate === Number.POSITIVE_INFINITY ? most : Math.min(this.#allowance + earned, most);
    this.#counted = now;
    for (let [turn] = this.#waiting; turn !== undefined; [turn] = this.#waiting) {
      if (turn.bytes > this.#allowance) {
        this.#wait(turn.bytes - this.#allowance);
        return;
      }
      this.#allowance -= turn.bytes;
      this.#waiting.shift();
      turn.taken();
    }
  }

  #wait(missing: number): void {
    if (this.#isWaiting) return;
    this.#isWaiting = true;
    this.#clock.after(Math.max(1, (missing * 1_000) / this.#rate), () => {
      this.#isWaiting = false;
      this.#serve();
    });
  }
}
