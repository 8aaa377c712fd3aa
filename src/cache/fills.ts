import { setTimeout as sleep } from 'node:timers/promises';
import type { Digest } from '../oci/digest.ts';
import type { SpoolFile } from '../store/spool-file.ts';
import { tellFailed } from '../store/trouble.ts';
import type { UpstreamResponse } from '../upstream/contract.ts';
import { Beginnings } from './beginnings.ts';
import { PATIENCE, type Patience } from './downloads.ts';
import { type Elsewhere, find, follow, UNREAD } from './elsewhere.ts';
import { SpoolFailed } from './fetcher.ts';
import { Fill } from './fill.ts';
import { beganAnew } from './growing-blob.ts';
import { Place, type Stores, type Unkept } from './place.ts';
import { lengthOf, type Opened, open, type Source } from './source.ts';

/** What came of asking a source for a missing blob. */
export type Begun =
  | { readonly kind: 'fill'; readonly fill: Fill }
  /** The blob is in the store: an earlier life of the process had received it, and left only the publishing. */
  | { readonly kind: 'stored' }
  /** The source's answer is no success. */
  | { readonly kind: 'refused'; readonly response: UpstreamResponse }
  /** Nothing can be kept: there is no space, or the size is not known. */
  | { readonly kind: 'uncached'; readonly opened: Opened; readonly size: number | undefined; readonly why: Unkept };

/** Milliseconds before a claim that was just given up is asked for again. */
const AGAIN = 10;
type Start = Begun & { readonly first: boolean };

/** The fills that are running, one for each digest, by this process or another one on the same directory. */
export class Fills {
  readonly #stores: Stores;
  readonly #patience: Patience;
  readonly #fills = new Map<Digest, Fill>();
  readonly #beginnings: Beginnings<Start>;
  /** Settles when a fill has ended, and its claim is free again if it was ours. */
  readonly #ending = new Map<Digest, Promise<void>>();
  readonly #abort = new AbortController();

  constructor(stores: Stores, options: { readonly patience?: Patience } = {}) {
    this.#stores = stores;
    this.#patience = options.patience ?? PATIENCE;
    this.#beginnings = new Beginnings(this.#patience.withAlternative, this.#abort.signal);
  }

  /** The fill of a digest that is running. */
  get(digest: Digest): Fill | undefined {
    const fill = this.#fills.get(digest);
    return fill?.state === 'running' ? fill : undefined;
  }

  /**
   * Begins to fill, or waits for whoever is just beginning, here or in another process: then `first` is false, and what
   * came of it says nothing about the rights of this caller's source. Rejects when no upstream of theirs answers.
   */
  begin(digest: Digest, source: Source): Promise<Start> {
    return this.#beginnings.start(digest, source.upstream, (signal) => this.#begin(digest, source, signal));
  }

  /** Parks every fill with what it has. */
  async close(): Promise<void> {
    const reason = new Error('the gateway is stopping');
    this.#abort.abort(reason);
    await this.#beginnings.settled();
    for (const fill of this.#fills.values()) fill.park(reason);
    await Promise.all(this.#ending.values());
  }

  async #begin(digest: Digest, source: Source, signal: AbortSignal): Promise<Start> {
    const running = this.get(digest);
    if (running !== undefined) return { kind: 'fill', fill: running, first: false };
    await this.#ending.get(digest);
    for (;;) {
      const place = await Place.take(this.#stores, digest);
      if (place instanceof Place) return { ...(await this.#beginAt(place, digest, source, signal)), first: true };
      // On a broken disk nobody is found.
      const elsewhere = await find(this.#stores, digest, signal).catch(() => undefined);
      if (elsewhere !== undefined) {
        const fill = new Fill(digest, elsewhere.progress.size, elsewhere.file, this.#patience);
        return { kind: 'fill', fill: this.#run(fill, elsewhere), first: false };
      }
      if (place !== 'taken') return { ...(await this.#beginUncached(source, place, signal)), first: true };
      await sleep(AGAIN, undefined, { signal });
    }
  }

  async #beginAt(place: Place, digest: Digest, source: Source, signal: AbortSignal): Promise<Begun> {
    let isTaken = false;
    try {
      // Whoever was about to keep it when the caller looked may have done so.
      if ((await this.#stores.content.blobSize(digest)) !== undefined) return { kind: 'stored' };
      if (place.file.complete && (await publishes(place))) return { kind: 'stored' };
      const begun = await this.#beginIn(place, digest, source, signal);
      isTaken = begun.kind === 'fill';
      return begun;
    } finally {
      if (!isTaken) await place.leave();
    }
  }

  async #beginUncached(source: Source, why: Unkept, signal: AbortSignal): Promise<Begun> {
    const opened = await open(source, 0, undefined, signal);
    if (!isSuccess(opened)) return { kind: 'refused', response: opened.response };
    return { kind: 'uncached', opened, size: opened.size ?? (await this.#askSize(source, signal)), why };
  }

  async #beginIn(place: Place, digest: Digest, source: Source, signal: AbortSignal): Promise<Begun> {
    const opened = await this.#ask(place, source, signal);
    if (!isSuccess(opened)) return { kind: 'refused', response: opened.response };
    const size = opened.size ?? (await this.#askSize(source, signal));
    if (size === undefined) return { kind: 'uncached', opened, size, why: 'not-cacheable' };
    if (!(await place.reserve(size, signal))) return { kind: 'uncached', opened, size, why: 'no-space' };
    const fill = this.#run(new Fill(digest, size, place.file, this.#patience), place);
    fill.receive(place, { source, answer: { ...opened, size } });
    return { kind: 'fill', fill };
  }

  #run(fill: Fill, by: Place | Elsewhere): Fill {
    this.#fills.set(fill.digest, fill);
    this.#ending.set(fill.digest, this.#attend(fill, by));
    return fill;
  }

  /** Stays with a fill until it has ended, whoever brings its bytes. */
  async #attend(fill: Fill, first: Place | Elsewhere): Promise<void> {
    try {
      for (let by: Place | Elsewhere | undefined = first; by !== undefined; ) {
        if (by instanceof Place) await keep(fill, by);
        else {
          await using _ = by.holding;
          await follow(fill, by);
        }
        by = await this.#goOn(fill);
      }
    } catch (error) {
      tellFailed(`cannot follow what another process brings of ${fill.digest}`, error);
      if (fill.state === 'running') fill.end('detached', new SpoolFailed('cannot be followed', { cause: error }));
    }
    this.#fills.delete(fill.digest);
    this.#ending.delete(fill.digest);
  }

  /** Goes on with what another process left to its readers here, or finds who does. */
  async #goOn(fill: Fill): Promise<Elsewhere | Place | undefined> {
    const { digest } = fill;
    while (fill.state === 'running') {
      const place = await Place.take(this.#stores, digest);
      if (place instanceof Place) return (await this.#takesOver(fill, place)) ? place : undefined;
      const elsewhere = await find(this.#stores, digest, this.#abort.signal);
      if (elsewhere !== undefined) return elsewhere;
      if (place !== 'taken') fill.end('detached', new SpoolFailed('what another process left cannot be kept'));
      else await sleep(AGAIN);
    }
    return undefined;
  }

  async #takesOver(fill: Fill, place: Place): Promise<boolean> {
    const { digest, size, bytes } = fill;
    let isTaken = false;
    try {
      if (await bytes.file.isFinishedElsewhere()) {
        bytes.file.told(size);
        bytes.verified();
        fill.end('committed');
      } else if ((await this.#stores.content.blobSize(digest)) !== undefined) fill.end('parked', beganAnew());
      else if (!fill.isFollowed) fill.park(UNREAD);
      else if (!(await place.reserve(size, this.#abort.signal))) fill.end('detached', new SpoolFailed('no space'));
      isTaken = fill.state === 'running';
      if (isTaken) fill.receive(place);
    } finally {
      if (!isTaken) await place.leave();
    }
    return isTaken;
  }

  /** Asks for the first missing byte and what follows; what is kept of a blob that is another now is dropped. */
  async #ask(place: Place, source: Source, signal: AbortSignal): Promise<Opened> {
    const opened = await open(source, place.file.extents.prefix(), undefined, signal);
    if (!isOutdated(place.file, opened)) return opened;
    opened.response.body.destroy();
    await place.renew();
    return open(source, 0, undefined, signal);
  }

  /** Some upstreams tell a blob's length only when asked for nothing else. */
  async #askSize({ upstream, repository, path, identity }: Source, signal: AbortSignal): Promise<number | undefined> {
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

/** Until the fill has ended, or another process went on with it. */
async function keep(fill: Fill, place: Place): Promise<void> {
  await Promise.race([fill.ended, place.lost]);
  if (fill.state === 'running' && !fill.bytes.isVerified) fill.yield();
  else await fill.ended;
  await place.free();
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
