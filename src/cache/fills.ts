import type { Digest } from '../oci/digest.ts';
import type { SpoolFile } from '../store/spool-file.ts';
import { tellFailed } from '../store/trouble.ts';
import type { UpstreamResponse } from '../upstream/contract.ts';
import { PATIENCE, type Patience } from './downloads.ts';
import { Fill } from './fill.ts';
import { Place, type Stores, type Unkept } from './place.ts';
import { lengthOf, type Opened, open, type Source } from './source.ts';

/** What came of asking a source for a missing blob. */
export type Begun =
  | { readonly kind: 'fill'; readonly fill: Fill }
  /** The blob is in the store: an earlier life of the process had received it, and left only the publishing. */
  | { readonly kind: 'stored' }
  /** The source's answer is no success. */
  | { readonly kind: 'refused'; readonly response: UpstreamResponse }
  /** Nothing can be kept: there is no space, or the size is not known, or somebody else is filling. */
  | { readonly kind: 'uncached'; readonly opened: Opened; readonly size: number | undefined; readonly why: Unkept };

/** The fills that are running, one for each digest. */
export class Fills {
  readonly #stores: Stores;
  readonly #patience: Patience;
  readonly #fills = new Map<Digest, Fill>();
  readonly #beginning = new Map<Digest, Promise<Begun>>();
  /** Settles when a fill has ended and its claim is free again. */
  readonly #ending = new Map<Digest, Promise<void>>();
  readonly #abort = new AbortController();

  constructor(stores: Stores, options: { readonly patience?: Patience } = {}) {
    this.#stores = stores;
    this.#patience = options.patience ?? PATIENCE;
  }

  /** The fill of a digest that is running. */
  get(digest: Digest): Fill | undefined {
    const fill = this.#fills.get(digest);
    return fill?.state === 'running' ? fill : undefined;
  }

  /**
   * Begins to fill, or waits for whoever is just beginning: then `first` is false, and what came of it says nothing
   * about the rights of this caller's source.
   */
  async begin(digest: Digest, source: Source): Promise<Begun & { readonly first: boolean }> {
    const running = this.get(digest);
    if (running !== undefined) return { kind: 'fill', fill: running, first: false };
    const beginning = this.#beginning.get(digest);
    if (beginning !== undefined) return { ...(await beginning), first: false };
    const begun = this.#begin(digest, source).finally(() => this.#beginning.delete(digest));
    this.#beginning.set(digest, begun);
    return { ...(await begun), first: true };
  }

  /** Parks every fill with what it has. */
  async close(): Promise<void> {
    const reason = new Error('the gateway is stopping');
    this.#abort.abort(reason);
    await Promise.allSettled(this.#beginning.values());
    for (const fill of this.#fills.values()) fill.park(reason);
    await Promise.all(this.#ending.values());
  }

  async #begin(digest: Digest, source: Source): Promise<Begun> {
    await this.#ending.get(digest);
    const place = await Place.take(this.#stores, digest);
    if (typeof place === 'string') return this.#beginUncached(source, place);
    let isTaken = false;
    try {
      if (place.file.complete && (await publishes(place))) return { kind: 'stored' };
      const begun = await this.#beginIn(place, digest, source);
      isTaken = begun.kind === 'fill';
      return begun;
    } finally {
      if (!isTaken) await place.leave();
    }
  }

  async #beginUncached(source: Source, why: Unkept): Promise<Begun> {
    const opened = await open(source, 0, undefined, this.#abort.signal);
    if (!isSuccess(opened)) return { kind: 'refused', response: opened.response };
    return { kind: 'uncached', opened, size: opened.size ?? (await this.#askSize(source)), why };
  }

  async #beginIn(place: Place, digest: Digest, source: Source): Promise<Begun> {
    const opened = await this.#ask(place, source);
    if (!isSuccess(opened)) return { kind: 'refused', response: opened.response };
    const size = opened.size ?? (await this.#askSize(source));
    if (size === undefined) return { kind: 'uncached', opened, size, why: 'not-cacheable' };
    if (!(await place.reserve(size, this.#abort.signal))) return { kind: 'uncached', opened, size, why: 'no-space' };
    const fill = new Fill(digest, size, place.file, place, this.#patience);
    this.#fills.set(digest, fill);
    this.#ending.set(digest, this.#untilFree(fill, place));
    place.lost.addEventListener('abort', () => fill.park(new Error('another process took the fill over')));
    fill.start(source, { ...opened, size });
    return { kind: 'fill', fill };
  }

  async #untilFree(fill: Fill, place: Place): Promise<void> {
    await fill.ended;
    await place.free();
    this.#fills.delete(fill.digest);
    this.#ending.delete(fill.digest);
  }

  /** Asks for the first missing byte and what follows; what is kept of a blob that is another now is dropped. */
  async #ask(place: Place, source: Source): Promise<Opened> {
    const opened = await open(source, place.file.extents.prefix(), undefined, this.#abort.signal);
    if (!isOutdated(place.file, opened)) return opened;
    opened.response.body.destroy();
    await place.renew();
    return open(source, 0, undefined, this.#abort.signal);
  }

  /** Some upstreams tell a blob's length only when asked for nothing else. */
  async #askSize({ upstream, repository, path, identity }: Source): Promise<number | undefined> {
    const { signal } = this.#abort;
    const response = await upstream.request({
      kind: 'blob',
      method: 'HEAD',
      repository: repository.name,
      path,
      identity,
      signal,
    });
    response.body.destroy();
    return response.status === 200 ? lengthOf(response.headers['content-length']) : undefined;
  }
}

/** Publishes a file that is whole already; `false` when its bytes are wrong. */
async function publishes(place: Place): Promise<boolean> {
  try {
    await place.commit();
    return true;
  } catch (error) {
    place.failed(error);
    tellFailed(`what was kept of ${place.file.expected} is of no use`, error, { level: 'warn' });
    return false;
  }
}

function isSuccess({ response }: Opened): boolean {
  return response.status === 200 || response.status === 206;
}

/** What is kept of a blob of another size than the upstream has now is worth nothing. */
function isOutdated(file: SpoolFile, opened: Opened): boolean {
  if (file.extents.bytes === 0) return false;
  if (opened.response.status === 416 || file.complete) return true;
  return isSuccess(opened) && opened.size !== undefined && file.size !== undefined && file.size !== opened.size;
}
