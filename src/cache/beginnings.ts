import { setTimeout as sleep } from 'node:timers/promises';
import type { Digest } from '../oci/digest.ts';
import { UpstreamError } from '../upstream/contract.ts';
import type { Upstream } from '../upstream/upstream.ts';

interface Beginning<T> {
  readonly upstream: Upstream;
  readonly begun: Promise<T>;
  /** Ends the question in favour of somebody who knows another upstream. */
  readonly displaced: AbortController;
}

/** Whether what was begun was begun for this caller: if not, it says nothing about the rights of their source. */
interface Start {
  readonly first: boolean;
}

/** The questions for missing blobs that were not answered yet: one for each digest, whoever else comes waits for it. */
export class Beginnings<T extends Start> {
  /** Milliseconds that an upstream has to begin while somebody with another one waits. */
  readonly #patience: number;
  readonly #closed: AbortSignal;
  readonly #running = new Map<Digest, Beginning<T>>();

  constructor(patience: number, closed: AbortSignal) {
    this.#patience = patience;
    this.#closed = closed;
  }

  /** Resolves when nothing is beginning any more. */
  async settled(): Promise<void> {
    await Promise.allSettled([...this.#running.values()].map(({ begun }) => begun));
  }

  /**
   * What comes of `begin`, or of somebody else's. Rejects when no upstream of theirs answers. One that says nothing makes
   * room for another caller's, then waits for that, and does not displace it in turn.
   */
  async start(
    digest: Digest,
    upstream: Upstream,
    begin: (signal: AbortSignal) => Promise<T>,
    mayDisplace = true,
  ): Promise<T> {
    const running = this.#running.get(digest);
    if (running === undefined) return this.#run(digest, upstream, begin);
    const isOther = running.upstream !== upstream;
    try {
      const begun = await (isOther && mayDisplace ? this.#soon(running.begun) : running.begun);
      if (begun !== undefined) return { ...begun, first: false };
    } catch (error) {
      // What one upstream fails to do says nothing about another.
      if (this.#closed.aborted || !(isOther || running.displaced.signal.aborted)) throw error;
      return this.start(digest, upstream, begin, mayDisplace);
    }
    if (this.#running.get(digest) !== running) return this.start(digest, upstream, begin);
    running.displaced.abort(SILENT);
    return this.#run(digest, upstream, begin, running.begun);
  }

  async #soon(begun: Promise<T>): Promise<T | undefined> {
    const over = new AbortController();
    const patience = sleep(this.#patience, undefined, { signal: over.signal });
    patience.catch(() => undefined);
    try {
      return await Promise.race([begun, patience]);
    } finally {
      over.abort();
    }
  }

  /** `before`: the displaced one, which has to let go first, unless it has got its answer after all. */
  async #run(
    digest: Digest,
    upstream: Upstream,
    begin: (signal: AbortSignal) => Promise<T>,
    before?: Promise<T>,
  ): Promise<T> {
    const displaced = new AbortController();
    const now = (): Promise<T> => begin(AbortSignal.any([this.#closed, displaced.signal]));
    const begun = before === undefined ? now() : before.then((start) => ({ ...start, first: false }), now);
    const beginning = { upstream, begun, displaced };
    this.#running.set(digest, beginning);
    try {
      return await begun;
    } catch (error) {
      if (this.#closed.aborted || !displaced.signal.aborted) throw error;
    } finally {
      if (this.#running.get(digest) === beginning) this.#running.delete(digest);
    }
    return this.start(digest, upstream, begin, false);
  }
}

const SILENT = new UpstreamError('unreachable', 'the upstream did not begin to answer');
