import { setTimeout as sleep } from 'node:timers/promises';
import { publish } from '../events.ts';
import { Bandwidth } from './bandwidth.ts';
import { type Pacing, UpstreamError } from './contract.ts';

/** How much of an upstream may be had, as its operator here wants it. */
export interface Limits {
  /** So many in any span of so many milliseconds. */
  readonly requests?: { readonly count: number; readonly span: number };
  /** Bytes per second. */
  readonly bandwidth?: number;
}

/** Milliseconds that a request waits for its turn rather than being refused. */
const PATIENCE = 1_000;

/** Keeps what goes to one upstream, and comes from it, below a limit of our own. */
export class Limit implements Pacing {
  readonly bandwidth = new Bandwidth();
  readonly #name: string;
  readonly #now: () => number;
  /** When requests went out or will, oldest first. */
  #turns: number[] = [];
  #requests: Limits['requests'];

  /** `now` is a monotonic clock in milliseconds. */
  constructor(name: string, now: () => number = () => performance.now()) {
    this.#name = name;
    this.#now = now;
  }

  set({ requests, bandwidth }: Limits): void {
    this.#requests = requests;
    this.bandwidth.rate = bandwidth;
  }

  get isSet(): boolean {
    return this.#requests !== undefined || this.bandwidth.isSet;
  }

  /** Lets one request go out, now or in a moment; throws `throttled` when that would take longer. */
  async admit(signal: AbortSignal): Promise<void> {
    if (this.#requests === undefined) return;
    const wait = this.#reserve(this.#requests);
    if (wait <= 0) return;
    await sleep(wait, undefined, { signal }).catch(() => signal.throwIfAborted());
  }

  #reserve({ count, span }: NonNullable<Limits['requests']>): number {
    const now = this.#now();
    const over = this.#turns.findIndex((turn) => turn > now - span);
    this.#turns = over < 0 ? [] : over === 0 ? this.#turns : this.#turns.slice(over);
    const before = this.#turns.at(-count);
    const turn = before === undefined ? now : Math.max(now, before + span);
    if (turn - now > PATIENCE) {
      const message = `upstreams.${this.#name}.limit.requests is reached: what is cached is served meanwhile`;
      publish('notice', { level: 'warn', message });
      throw new UpstreamError('throttled', message, { retryAfter: Math.ceil((turn - now) / 1_000) });
    }
    this.#turns.push(turn);
    return turn - now;
  }
}
