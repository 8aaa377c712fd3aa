import { publish } from '../events.ts';
import type { Breaker } from './breaker.ts';
import { UpstreamError } from './contract.ts';
import { retry } from './retry.ts';

/** One of an upstream's base URLs. */
export interface Base {
  readonly url: URL;
  readonly breaker: Breaker;
}

const AVOIDED_FOR = 60_000;

/** Tries an upstream's base URLs in order; one that failed where another answered is tried last for a minute. */
export class Failover {
  readonly #name: string;
  readonly #bases: readonly Base[];
  readonly #avoided = new Map<Base, number>();

  constructor(name: string, bases: readonly Base[]) {
    this.#name = name;
    this.#bases = bases;
  }

  /** Whether a request would be sent at all. */
  get available(): boolean {
    return this.#bases.some(({ breaker }) => !breaker.open);
  }

  /** What the first base that can says; throws what the last one threw. */
  async run<T>(attempt: (base: URL) => Promise<T>, signal: AbortSignal): Promise<T> {
    signal.throwIfAborted();
    let last: UpstreamError | undefined;
    for (const base of this.#inOrder()) {
      if (!base.breaker.admits()) continue;
      if (last !== undefined) this.#announce(base, last);
      try {
        return await retry(
          () => attempt(base.url),
          () => base.breaker.admits(),
          signal,
        );
      } catch (error) {
        if (!(error instanceof UpstreamError) || error.failure !== 'unreachable') throw error;
        this.#avoided.set(base, performance.now() + AVOIDED_FOR);
        last = error;
      }
    }
    throw last ?? new UpstreamError('unreachable', `${this.#name} cannot be reached; it is tried again every second`);
  }

  #inOrder(): readonly Base[] {
    const now = performance.now();
    const avoided = (base: Base): boolean => (this.#avoided.get(base) ?? 0) > now;
    return [...this.#bases.filter((base) => !avoided(base)), ...this.#bases.filter(avoided)];
  }

  #announce(base: Base, error: UpstreamError): void {
    const message = `${this.#name}: going on with ${base.url.host}, because ${error.message}`;
    publish('notice', { level: 'warn', message });
  }
}
