/** Milliseconds a client waits for the upstream while there is a stale answer, which is to be there after 2 s. */
const PATIENCE = 1900;
/** The same for an upstream that is silent altogether. */
const PATIENCE_IN_SILENCE = 40;

/** Which upstreams have answered nobody since somebody asked in vain: they take connections, and say nothing. */
export class Silence {
  /** When each upstream last answered, on the monotonic clock (milliseconds). */
  readonly #heard = new Map<string, number>();
  readonly #silent = new Set<string>();

  /** Milliseconds that it has for an answer which a stale one can stand in for. */
  patience(upstream: string): number {
    return this.#silent.has(upstream) ? PATIENCE_IN_SILENCE : PATIENCE;
  }

  heard(upstream: string): void {
    this.#heard.set(upstream, performance.now());
    this.#silent.delete(upstream);
  }

  /** Somebody who asked at `since` (monotonic clock) has waited long enough. Slow for one question is not silent. */
  missed(upstream: string, since: number): void {
    if ((this.#heard.get(upstream) ?? 0) < since) this.#silent.add(upstream);
  }
}
