import { setTimeout as sleep } from 'node:timers/promises';
import { isOutOfReach } from '../upstream/failure.ts';

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

/** Why a stale answer has to do. */
export type StaleWhy = 'upstream-unreachable' | 'upstream-throttled' | 'upstream-slow';

/**
 * The upstream's answer, or why a stale one has to do: it is out of reach, or it took longer than `patience`, which
 * only a caller whose right is settled may lose. The question goes on behind the client's back.
 */
export async function orStale<Told>(asked: Promise<Told>, patience: number | undefined): Promise<Told | StaleWhy> {
  const given = new AbortController();
  try {
    if (patience === undefined) return await asked;
    const outOfPatience = sleep(patience, 'upstream-slow' as const, { signal: given.signal });
    outOfPatience.catch(() => undefined);
    return await Promise.race([asked, outOfPatience]);
  } catch (error) {
    if (!isOutOfReach(error)) throw error;
    return error.failure === 'throttled' ? 'upstream-throttled' : 'upstream-unreachable';
  } finally {
    given.abort();
    asked.catch(() => undefined);
  }
}
