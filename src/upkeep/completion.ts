import { setTimeout as sleep } from 'node:timers/promises';
import type { ContentAnswer } from '../cache/answer.ts';
import type { Cache } from '../cache/cache.ts';
import type { Asking } from '../cache/membership.ts';
import { type FillEvent, subscribe } from '../events.ts';
import type { Digest } from '../oci/digest.ts';
import { parseManifest } from '../oci/manifest.ts';
import { isIndex } from '../oci/media-type.ts';
import type { Content } from '../store/content.ts';

/** Milliseconds in which a client asks for what it lacks itself. */
const PAUSE = 3000;
/** Images of one upstream that may wait. */
const MAX_WAITING = 200;

interface Image {
  readonly asking: Asking;
  readonly children: readonly Digest[];
}

/** What is fetched of one upstream without being asked for. */
interface Line {
  readonly upstream: string;
  /** By the digest of the manifest. */
  readonly waiting: Map<Digest, Image>;
  current: Digest | undefined;
  /** Whether the current blob had to make way. */
  hasYielded: boolean;
}

/**
 * Fetches what images name and their clients had already, so that whole images are here: one blob at a time from each
 * upstream, by the right of whoever pulled the manifest, and after everything that clients wait for.
 */
export class Completion implements Disposable {
  readonly #cache: Pick<Cache, 'fetch' | 'makeWay'>;
  readonly #content: Content;
  readonly #isWanted: (upstream: string) => boolean;
  readonly #lines = new Map<string, Line>();
  /** What is being fetched, by anybody, and from which upstream. */
  readonly #fills = new Map<string, string>();
  readonly #abort = new AbortController();
  readonly #unsubscribe: () => void;
  #changed = Promise.withResolvers<void>();

  constructor(cache: Cache, content: Content, isWanted: (upstream: string) => boolean) {
    this.#cache = cache;
    this.#content = content;
    this.#isWanted = isWanted;
    cache.onPulled((asking, manifest) => this.#pulled(asking, manifest));
    this.#unsubscribe = subscribe('fill', (event) => this.#follow(event));
  }

  /** Drops what waits; what runs is parked with the other fills. */
  [Symbol.dispose](): void {
    this.#abort.abort();
    this.#unsubscribe();
    this.#changed.resolve();
  }

  #pulled({ repository, caller }: Asking, { digest, mediaType, body }: ContentAnswer): void {
    const { upstream } = repository;
    if (!this.#isWanted(upstream) || !(body instanceof Uint8Array) || isIndex(mediaType)) return;
    const known = this.#lines.get(upstream);
    const line = known ?? { upstream, waiting: new Map(), current: undefined, hasYielded: false };
    if (line.waiting.has(digest) || line.waiting.size >= MAX_WAITING || this.#abort.signal.aborted) return;
    const children = parseManifest(body)?.children.map((child) => child.digest) ?? [];
    line.waiting.set(digest, { asking: { repository, caller, signal: this.#abort.signal }, children });
    if (known !== undefined) return;
    this.#lines.set(upstream, line);
    void this.#work(line);
  }

  #follow({ digest, upstream, phase }: FillEvent): void {
    const isRunning = phase === 'started' || phase === 'resumed' || phase === 'switched';
    if (!isRunning) this.#fills.delete(digest);
    else if (upstream !== '') this.#fills.set(digest, upstream);
    this.#changed.resolve();
    this.#changed = Promise.withResolvers();
    const line = this.#lines.get(upstream);
    if (!isRunning || line?.current === undefined || line.current === digest) return;
    line.hasYielded = true;
    this.#cache.makeWay(line.current);
  }

  async #work(line: Line): Promise<void> {
    try {
      for (const [digest, { asking, children }] of line.waiting) {
        await sleep(PAUSE, undefined, { signal: this.#abort.signal });
        for (const child of children) await this.#complete(line, asking, child);
        line.waiting.delete(digest);
      }
    } catch {
      // The upstream refuses or is down, or there is no space: whoever needs it will ask and be told.
    } finally {
      this.#lines.delete(line.upstream);
    }
  }

  /** Throws when this upstream is better left alone. */
  async #complete(line: Line, asking: Asking, digest: Digest): Promise<void> {
    for (;;) {
      await this.#until(() => ![...this.#fills.values()].includes(line.upstream));
      if ((await this.#content.blobSize(digest)) !== undefined) return;
      line.current = digest;
      line.hasYielded = false;
      try {
        return await this.#fetch(asking, digest);
      } catch (error) {
        if (!line.hasYielded) throw error;
      } finally {
        line.current = undefined;
      }
    }
  }

  /** Resolves when the blob is here, or cannot be had. */
  async #fetch(asking: Asking, digest: Digest): Promise<void> {
    const refused = await this.#cache.fetch(asking, digest);
    if (refused === 404) return;
    if (refused !== undefined) throw new Error(`the upstream answered ${refused}`);
    await this.#until(() => !this.#fills.has(digest));
    if ((await this.#content.blobSize(digest)) === undefined) throw new Error('it was not kept');
  }

  async #until(holds: () => boolean): Promise<void> {
    while (!holds()) {
      await this.#changed.promise;
      this.#abort.signal.throwIfAborted();
    }
    this.#abort.signal.throwIfAborted();
  }
}
