import { setTimeout as sleep } from 'node:timers/promises';
import type { ContentAnswer } from '../cache/answer.ts';
import type { Cache } from '../cache/cache.ts';
import type { Asking } from '../cache/membership.ts';
import { type Descriptor, parseManifest } from '../oci/manifest.ts';
import { isIndex } from '../oci/media-type.ts';
import type { Content } from '../store/content.ts';
import type { Space } from '../store/space.ts';

/** Milliseconds in which a client asks for the first layers itself. */
const PAUSE = 50;
/** Blobs of one image at a time, those that its client asked for included. */
const AT_ONCE = 6;

/**
 * Starts the fills of what a new image names before its client comes to ask: clients fetch three or so layers at a
 * time. By the right of whoever pulled the manifest, and only what fits without evicting anything.
 */
export class Prefetch implements Disposable {
  readonly #cache: Pick<Cache, 'fetch'>;
  readonly #content: Pick<Content, 'blobSize'>;
  readonly #space: Pick<Space, 'state'>;
  readonly #isWanted: (upstream: string) => boolean;
  readonly #abort = new AbortController();

  constructor(
    cache: Pick<Cache, 'fetch' | 'onPulled'>,
    content: Pick<Content, 'blobSize'>,
    space: Pick<Space, 'state'>,
    isWanted: (upstream: string) => boolean,
  ) {
    this.#cache = cache;
    this.#content = content;
    this.#space = space;
    this.#isWanted = isWanted;
    cache.onPulled((asking, manifest) => this.#pulled(asking, manifest));
  }

  /** Starts nothing more; what runs is parked with the other fills. */
  [Symbol.dispose](): void {
    this.#abort.abort();
  }

  #pulled({ repository, caller }: Asking, { body, handling, mediaType }: ContentAnswer): void {
    const isNew = handling.cache === 'miss' && handling.stored === true;
    if (!isNew || !(body instanceof Uint8Array) || isIndex(mediaType) || !this.#isWanted(repository.upstream)) return;
    const { signal } = this.#abort;
    // The upstream refuses or is down: whoever needs it will ask and be told.
    this.#fetch({ repository, caller, signal }, parseManifest(body)?.children ?? []).catch(() => undefined);
  }

  async #fetch(asking: Asking, children: readonly Descriptor[]): Promise<void> {
    await sleep(PAUSE, undefined, { signal: asking.signal });
    const isHere = await Promise.all(children.map(({ digest }) => this.#content.blobSize(digest)));
    const missing = children.filter((_, at) => isHere[at] === undefined);
    const bytes = missing.reduce((sum, { size }) => sum + size, 0);
    const { used, reserved, limit } = this.#space.state();
    if (used + reserved + bytes > limit) return;
    const line = missing.values();
    const next = async (): Promise<void> => {
      for (const { digest } of line) {
        asking.signal.throwIfAborted();
        await this.#cache.fetch(asking, digest);
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, next));
  }
}
