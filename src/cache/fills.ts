import { publish } from '../events.ts';
import type { Digest } from '../oci/digest.ts';
import { type Claim, type Claims, fillClaim } from '../store/claim.ts';
import type { Content } from '../store/content.ts';
import type { Spool } from '../store/spool.ts';
import type { SpoolFile } from '../store/spool-file.ts';
import type { UpstreamResponse } from '../upstream/contract.ts';
import { PATIENCE, type Patience } from './downloads.ts';
import { Fill } from './fill.ts';
import { lengthOf, type Opened, open, type Source } from './source.ts';

/** What came of asking a source for a missing blob. */
export type Begun =
  | { readonly kind: 'fill'; readonly fill: Fill }
  /** The blob is in the store: an earlier life of the process had received it, and left only the publishing. */
  | { readonly kind: 'stored' }
  /** The source's answer is no success. */
  | { readonly kind: 'refused'; readonly response: UpstreamResponse }
  /** Nothing can be kept: the size is not known, or the spool cannot be written, or somebody else is filling. */
  | { readonly kind: 'uncached'; readonly opened: Opened; readonly size: number | undefined };

/** The fills that are running, one for each digest. */
export class Fills {
  readonly #content: Content;
  readonly #spool: Spool;
  readonly #claims: Claims;
  readonly #patience: Patience;
  readonly #fills = new Map<Digest, Fill>();
  readonly #beginning = new Map<Digest, Promise<Begun>>();
  /** Settles when a fill has ended and its claim is free again. */
  readonly #ending = new Map<Digest, Promise<void>>();
  readonly #abort = new AbortController();

  constructor(content: Content, spool: Spool, claims: Claims, options: { readonly patience?: Patience } = {}) {
    this.#content = content;
    this.#spool = spool;
    this.#claims = claims;
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
    const place = await this.#takePlace(digest);
    if (place === undefined) return this.#beginUncached(source);
    let isTaken = false;
    try {
      if (place.file.complete && (await this.#publish(digest, place.file))) return { kind: 'stored' };
      const begun = await this.#beginIn(place, digest, source);
      isTaken = begun.kind === 'fill';
      return begun;
    } finally {
      if (!isTaken) await leave(place);
    }
  }

  async #beginUncached(source: Source): Promise<Begun> {
    const opened = await open(source, 0, undefined, this.#abort.signal);
    if (!isSuccess(opened)) return { kind: 'refused', response: opened.response };
    return { kind: 'uncached', opened, size: opened.size ?? (await this.#askSize(source)) };
  }

  async #beginIn(place: Place, digest: Digest, source: Source): Promise<Begun> {
    const opened = await this.#ask(place, digest, source);
    if (!isSuccess(opened)) return { kind: 'refused', response: opened.response };
    const size = opened.size ?? (await this.#askSize(source));
    if (size === undefined) return { kind: 'uncached', opened, size };
    const { claim, file } = place;
    file.size = size;
    const keeper = {
      commit: async (finished: SpoolFile) => this.#content.adoptBlob(digest, await finished.finish()),
      renew: (wrong: SpoolFile) => this.#renew(digest, wrong),
      progress: () => claim.progress(),
    };
    const fill = new Fill(digest, size, file, keeper, this.#patience);
    this.#fills.set(digest, fill);
    this.#ending.set(digest, this.#untilFree(fill, claim));
    claim.lost.addEventListener('abort', () => fill.park(new Error('another process took the fill over')));
    fill.start(source, { ...opened, size });
    return { kind: 'fill', fill };
  }

  async #untilFree(fill: Fill, claim: Claim): Promise<void> {
    await fill.ended;
    await release(claim);
    this.#fills.delete(fill.digest);
    this.#ending.delete(fill.digest);
  }

  /** The right to fill and the file to do it in, in this order; `undefined` when nothing can be kept now. */
  async #takePlace(digest: Digest): Promise<Place | undefined> {
    const claim = await this.#claims.acquire(fillClaim(digest)).catch(cannotKeep);
    const file = claim && (await this.#spool.open(digest).catch(cannotKeep));
    if (claim !== undefined && file !== undefined) return { claim, file };
    if (claim !== undefined) await release(claim);
    return undefined;
  }

  /** Asks for the first missing byte and what follows; what is kept of a blob that is another now is dropped. */
  async #ask(place: Place, digest: Digest, source: Source): Promise<Opened> {
    const opened = await open(source, place.file.extents.prefix(), undefined, this.#abort.signal);
    if (!isOutdated(place.file, opened)) return opened;
    opened.response.body.destroy();
    place.file = await this.#renew(digest, place.file);
    return open(source, 0, undefined, this.#abort.signal);
  }

  async #renew(digest: Digest, wrong: SpoolFile): Promise<SpoolFile> {
    await wrong.discard();
    await wrong.close();
    return this.#spool.open(digest);
  }

  /** Publishes a file that is whole already; `false` when its bytes are wrong. */
  async #publish(digest: Digest, file: SpoolFile): Promise<boolean> {
    try {
      await this.#content.adoptBlob(digest, await file.finish());
      return true;
    } catch (error) {
      publish('notice', { level: 'warn', message: `what was kept of ${digest} is of no use`, error });
      return false;
    }
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

interface Place {
  readonly claim: Claim;
  file: SpoolFile;
}

/** What is there stays for the next one; where nothing is, nothing stays. */
async function leave({ claim, file }: Place): Promise<void> {
  if (file.extents.bytes === 0) await file.discard();
  await file.close();
  await release(claim);
}

async function release(claim: Claim): Promise<void> {
  try {
    await claim.release();
  } catch (error) {
    publish('notice', { level: 'warn', message: 'cannot release the claim on a fill', error });
  }
}

function cannotKeep(error: unknown): undefined {
  const message = 'cannot write to the spool: content passes through without being kept';
  publish('notice', { level: 'error', message, error });
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
