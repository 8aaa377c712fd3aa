import { publish } from '../events.ts';
import type { Digest } from '../oci/digest.ts';
import type { Claims } from '../store/claim.ts';
import type { Content } from '../store/content.ts';
import type { Spool } from '../store/spool.ts';
import type { SpoolFile } from '../store/spool-file.ts';
import type { UpstreamResponse } from '../upstream/contract.ts';
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
  readonly #fills = new Map<Digest, Fill>();
  readonly #beginning = new Map<Digest, Promise<Begun>>();
  readonly #abort = new AbortController();

  constructor(content: Content, spool: Spool, claims: Claims) {
    this.#content = content;
    this.#spool = spool;
    this.#claims = claims;
  }

  get(digest: Digest): Fill | undefined {
    return this.#fills.get(digest);
  }

  /**
   * Begins to fill, or waits for whoever is just beginning: then `first` is false, and what came of it says nothing
   * about the rights of this caller's source.
   */
  async begin(digest: Digest, source: Source): Promise<Begun & { readonly first: boolean }> {
    const running = this.#fills.get(digest);
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
    const fills = [...this.#fills.values()];
    for (const fill of fills) fill.park(reason);
    await Promise.all(fills.map((fill) => fill.ended));
  }

  async #begin(digest: Digest, source: Source): Promise<Begun> {
    let file = await this.#open(digest);
    let isKept = false;
    if (file?.complete === true) {
      if (await this.#commit(digest, file)) return { kind: 'stored' };
      file = await this.#open(digest);
    }
    try {
      let opened = await this.#ask(source, file);
      if (file !== undefined && isOutdated(file, opened)) {
        opened.response.body.destroy();
        file = await this.#renew(digest, file);
        opened = await this.#ask(source, file);
      }
      const begun = await this.#beginWith(digest, source, file, opened);
      isKept = begun.kind === 'fill';
      return begun;
    } finally {
      if (!isKept) await file?.close();
    }
  }

  async #beginWith(digest: Digest, source: Source, file: SpoolFile | undefined, opened: Opened): Promise<Begun> {
    const { status } = opened.response;
    if (status !== 200 && status !== 206) return { kind: 'refused', response: opened.response };
    const size = opened.size ?? (await this.#askSize(source));
    if (file === undefined || size === undefined) return { kind: 'uncached', opened, size };
    const claim = await this.#claims.acquire(`fills/${digest.replace(':', '-')}`);
    if (claim === undefined) return { kind: 'uncached', opened, size };
    file.size = size;
    const fill = new Fill(digest, size, file, {
      commit: async (finished) => this.#content.adoptBlob(digest, await finished.finish()),
      renew: (wrong) => this.#renew(digest, wrong),
    });
    this.#fills.set(digest, fill);
    fill.ended.then(async () => {
      this.#fills.delete(digest);
      await claim.release();
    });
    fill.start(source, { ...opened, size });
    return { kind: 'fill', fill };
  }

  async #open(digest: Digest): Promise<SpoolFile | undefined> {
    try {
      return await this.#spool.open(digest);
    } catch (error) {
      publish('notice', {
        level: 'error',
        message: 'cannot write to the spool: content passes through without being kept',
        error,
      });
      return undefined;
    }
  }

  async #renew(digest: Digest, wrong: SpoolFile): Promise<SpoolFile> {
    await wrong.discard();
    await wrong.close();
    return this.#spool.open(digest);
  }

  /** Asks for the first missing byte and what follows. */
  #ask(source: Source, file: SpoolFile | undefined): Promise<Opened> {
    return open(source, file?.extents.prefix() ?? 0, undefined, this.#abort.signal);
  }

  /** Publishes a file that is whole already; `false` when its bytes are wrong, which are dropped. */
  async #commit(digest: Digest, file: SpoolFile): Promise<boolean> {
    try {
      await this.#content.adoptBlob(digest, await file.finish());
      return true;
    } catch (error) {
      publish('notice', { level: 'warn', message: `what was kept of ${digest} is of no use`, error });
      await file.discard();
      return false;
    } finally {
      await file.close();
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

/** What is kept of a blob of another size than the upstream has now is worth nothing. */
function isOutdated(file: SpoolFile, { response, size }: Opened): boolean {
  if (file.extents.bytes === 0) return false;
  const isSuccess = response.status === 200 || response.status === 206;
  return response.status === 416 || (isSuccess && size !== undefined && file.size !== undefined && file.size !== size);
}
