import type { Access } from '../auth/access.ts';
import type { Digest } from '../oci/digest.ts';
import { type RangeSpec, resolveRanges } from '../oci/range.ts';
import type { Content } from '../store/content.ts';
import type { KeptLists } from '../store/kept-lists.ts';
import type { UpstreamRequest } from '../upstream/contract.ts';
import type { Upstream } from '../upstream/upstream.ts';
import { type Answer, type ContentAnswer, type Handling, upstreamAnswer, used } from './answer.ts';
import { Direct } from './direct.ts';
import type { Fill } from './fill.ts';
import type { Begun, Fills } from './fills.ts';
import { Follower } from './follower.ts';
import type { Asking, Membership, Proof } from './membership.ts';
import type { SmallObjects } from './small-objects.ts';
import { lengthOf, type Source } from './source.ts';
import { verified } from './verified-stream.ts';

export const STORED: Handling = { cache: 'hit', why: 'stored' };
const REFUSED: Handling = { cache: 'miss', why: 'upstream-refused' };
const NOT_PROVEN: Handling = { cache: 'hit', why: 'not-proven' };
const JOINED: Handling = { cache: 'collapsed', why: 'being-fetched' };

type Ranges = readonly RangeSpec[] | undefined;

/** What the cache's parts share. */
export interface Parts {
  readonly content: Content;
  readonly lists: KeptLists;
  readonly access: Access;
  readonly membership: Membership;
  readonly fills: Fills;
  readonly small: SmallObjects;
  readonly upstream: (name: string) => Upstream;
}

/** Blobs: from the store, from a running fill, or by starting one. */
export class Blobs {
  readonly #parts: Parts;

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  /** The blob's head: never a download. */
  async head(asking: Asking, digest: Digest): Promise<Answer> {
    const { content, fills, membership, small, upstream } = this.#parts;
    const proof = await membership.prove(asking, digest, probeOf(asking, digest));
    if (proof.kind === 'refused') return upstreamAnswer(proof.response, REFUSED, false);
    const local = small.get(digest)?.length ?? (await content.blobSize(digest)) ?? fills.get(digest)?.size;
    if (local !== undefined) return used(asking, { kind: 'content', digest, size: local, handling: handlingOf(proof) });
    const handling: Handling = { cache: 'miss', why: 'head-only' };
    if (proof.kind === 'asked' && proof.size !== undefined)
      return { kind: 'content', digest, size: proof.size, handling };
    const response = await upstream(asking.repository.upstream).request(await this.#request(asking, digest, 'HEAD'));
    const isThere = response.status === 200;
    const size = isThere ? lengthOf(response.headers['content-length']) : undefined;
    if (size === undefined) return upstreamAnswer(response, isThere ? handling : REFUSED, false);
    response.body.destroy();
    return { kind: 'content', digest, size, handling };
  }

  /** The blob; `ranges` tell where the reader begins. */
  async get(asking: Asking, digest: Digest, ranges: Ranges): Promise<Answer> {
    const { content, fills, membership } = this.#parts;
    const probe = probeOf(asking, digest);
    const known = await membership.knows(asking, digest, probe);
    // The way of every warm blob: one look at the disk, by opening it.
    if (known) return (await this.stored(asking, digest, STORED)) ?? this.#fetch(asking, digest, ranges, true);
    const isLocal = fills.get(digest) !== undefined || (await content.blobSize(digest)) !== undefined;
    if (!isLocal) return this.#fetch(asking, digest, ranges, false);
    const proof = await membership.prove(asking, digest, probe);
    if (proof.kind === 'refused') return this.#refusal(asking, digest, ranges);
    return (await this.stored(asking, digest, handlingOf(proof))) ?? this.#fetch(asking, digest, ranges, true);
  }

  /** What the store has of a blob that the caller's right to is settled. */
  async stored(asking: Asking, digest: Digest, handling: Handling): Promise<ContentAnswer | undefined> {
    const { content, small } = this.#parts;
    const kept = small.get(digest);
    if (kept !== undefined) return used(asking, { kind: 'content', digest, size: kept.length, body: kept, handling });
    const link = await content.link(asking.repository, digest);
    const object = await content.openBlob(digest, link?.size);
    if (object === undefined) return undefined;
    const { size } = object;
    // What was said of its size was wrong, and the blob is right.
    if (link?.size !== undefined && link.size !== size) await content.addLink(asking.repository, digest, { size });
    if (!small.takes(size)) return used(asking, { kind: 'content', digest, size, body: object, handling });
    await using opened = object;
    const bytes = await content.readBlob(digest, opened);
    if (bytes === undefined) return undefined;
    small.set(digest, bytes);
    return used(asking, { kind: 'content', digest, size, body: bytes, handling });
  }

  /** Begins a fill or joins it. Whoever began it is proven by the upstream's answer, everybody else by a HEAD. */
  async #fetch(asking: Asking, digest: Digest, ranges: Ranges, known: boolean): Promise<Answer> {
    const { fills, membership, small } = this.#parts;
    const source = await this.#source(asking, digest);
    const begun = await fills.begin(digest, source);
    if (begun.kind === 'refused') {
      if (!begun.first) return this.#refusal(asking, digest, ranges);
      await membership.refuse(asking, source.identity, begun.response.status);
      return upstreamAnswer(begun.response, REFUSED, true);
    }
    const probe = probeOf(asking, digest);
    const record = (size?: number): Promise<void> =>
      membership.record(asking, source.identity, digest, probe, size === undefined ? {} : { size });
    // It follows before anything else is waited for, so that the bytes stay at hand whatever becomes of the fill.
    if (begun.kind === 'fill' && begun.first) {
      const missed: Handling = { cache: 'miss', why: small.missing(digest), stored: true };
      return follow(asking, begun.fill, source, ranges, missed, record(begun.fill.size));
    }
    if (begun.first && begun.kind !== 'stored') await record();
    else if (!known && (await membership.prove(asking, digest, probe)).kind === 'refused')
      return this.#refusal(asking, digest, ranges);
    if (begun.kind === 'uncached') return this.#uncached(asking, digest, ranges, source, begun);
    // A fill that ended while the right to join it was proven has left bytes to serve, or a place to begin again.
    if (begun.kind === 'stored' || begun.fill.state !== 'running') return this.get(asking, digest, ranges);
    return follow(asking, begun.fill, source, ranges, JOINED);
  }

  async #uncached(
    asking: Asking,
    digest: Digest,
    ranges: Ranges,
    source: Source,
    begun: Begun & { kind: 'uncached'; first: boolean },
  ): Promise<Answer> {
    const { size, why } = begun;
    const handling: Handling = { cache: 'bypass', why };
    const opened = begun.first ? begun.opened : undefined;
    if (size === undefined) {
      const response = opened?.response ?? (await source.upstream.request(await this.#request(asking, digest, 'GET')));
      if (response.status !== 200) return upstreamAnswer(response, REFUSED, true);
      return upstreamAnswer({ ...response, body: await verified(response.body, digest) }, handling, true);
    }
    const { start } = (ranges && resolveRanges(ranges, size)[0]) ?? { start: 0 };
    const usable = opened?.start === start ? opened : undefined;
    if (usable === undefined) opened?.response.body.destroy();
    const direct = new Direct(source, digest, size);
    await direct.begin(start, start === 0 ? async () => 0 : undefined, usable);
    return { kind: 'content', digest, size, body: direct, has: () => false, handling };
  }

  /**
   * A GET's refusal is passed on with its document, which the HEAD that found it out does not have. An upstream that
   * refuses the HEAD alone has proven the caller's right.
   */
  async #refusal(asking: Asking, digest: Digest, ranges: Ranges): Promise<Answer> {
    const { membership, upstream } = this.#parts;
    const request = await this.#request(asking, digest, 'GET');
    const response = await upstream(asking.repository.upstream).request({ ...request, range: { start: 0, end: 1 } });
    if (response.status >= 400) return upstreamAnswer(response, REFUSED, true);
    response.body.destroy();
    await membership.record(asking, request.identity, digest, probeOf(asking, digest));
    return (await this.stored(asking, digest, NOT_PROVEN)) ?? this.#fetch(asking, digest, ranges, true);
  }

  async #source(asking: Asking, digest: Digest): Promise<Source> {
    const { repository, caller } = asking;
    const identity = await this.#parts.access.identity(caller, repository);
    return {
      upstream: this.#parts.upstream(repository.upstream),
      repository,
      identity,
      path: probeOf(asking, digest).path,
    };
  }

  async #request(asking: Asking, digest: Digest, method: 'GET' | 'HEAD'): Promise<UpstreamRequest> {
    const { repository, caller, signal, userAgent } = asking;
    const identity = await this.#parts.access.identity(caller, repository);
    return {
      ...probeOf(asking, digest),
      method,
      repository: repository.name,
      identity,
      signal,
      ...(userAgent !== undefined && { userAgent }),
    };
  }
}

/** The answer that follows a fill, once `settled` and once the fill has what it may begin with. */
async function follow(
  asking: Asking,
  fill: Fill,
  source: Source,
  ranges: Ranges,
  handling: Handling,
  settled?: Promise<void>,
): Promise<Answer> {
  const first = (ranges && resolveRanges(ranges, fill.size)[0]) ?? { start: 0, end: fill.size };
  const follower = Follower.follow(fill, source, first);
  try {
    await settled;
    await follower.ready(asking.signal);
  } catch (error) {
    await follower[Symbol.asyncDispose]();
    throw error;
  }
  const { digest, size } = fill;
  const has: ContentAnswer['has'] = (range) => fill.bytes.has(range);
  return used(asking, { kind: 'content', digest, size, body: follower, has, handling });
}

function probeOf({ repository }: Asking, digest: Digest): { readonly kind: 'blob'; readonly path: string } {
  return { kind: 'blob', path: `/v2/${repository.name}/blobs/${digest}` };
}

function handlingOf(proof: Proof): Handling {
  if (proof.kind === 'offline') return { cache: 'hit', why: 'upstream-unreachable' };
  return { cache: 'hit', why: proof.kind === 'asked' ? 'not-proven' : 'stored' };
}
