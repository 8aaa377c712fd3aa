import type { Digest } from '../oci/digest.ts';
import type { RangeSpec } from '../oci/range.ts';
import type { Reference, Repository } from '../oci/route.ts';
import { toClientError } from '../upstream/failure.ts';
import type { Answer, ContentAnswer, UpstreamAnswer } from './answer.ts';
import { Blobs, type Parts, STORED } from './blobs.ts';
import type { FreshnessPolicy } from './freshness.ts';
import { type ListAsking, Lists } from './lists.ts';
import { type ManifestAsking, Manifests } from './manifests.ts';
import type { Asking } from './membership.ts';
import { Tags } from './tags.ts';

/** Pull-through: what upstreams have, from here once it was here. Every failure of an upstream is a RegistryError. */
export class Cache {
  readonly #parts: Parts;
  readonly #blobs: Blobs;
  readonly #manifests: Manifests;
  readonly #tags: Tags;
  readonly #lists: Lists;
  readonly #pulled: ((asking: Asking, manifest: ContentAnswer) => void)[] = [];

  constructor(parts: Parts, policy: (upstream: string) => FreshnessPolicy) {
    this.#parts = parts;
    this.#blobs = new Blobs(parts);
    this.#manifests = new Manifests(parts);
    this.#tags = new Tags(parts, this.#manifests, policy);
    this.#lists = new Lists(parts, policy);
  }

  blob(
    asking: Asking,
    digest: Digest,
    method: 'GET' | 'HEAD',
    ranges: readonly RangeSpec[] | undefined,
  ): Promise<Answer> {
    return told(method === 'HEAD' ? this.#blobs.head(asking, digest) : this.#blobs.get(asking, digest, ranges));
  }

  /** Has a blob fetched for nobody yet; resolves when that is over, with the upstream's status where it refuses. */
  async fetch(asking: Asking, digest: Digest): Promise<number | undefined> {
    const answer = await this.blob(asking, digest, 'GET', undefined);
    if (answer.kind === 'upstream') {
      answer.stream?.destroy();
      return answer.status;
    }
    if (answer.body !== undefined && !(answer.body instanceof Uint8Array)) await answer.body[Symbol.asyncDispose]();
    await this.#parts.fills.get(digest)?.ended;
    return undefined;
  }

  async manifest(asking: ManifestAsking, { tag, digest }: Reference, method: 'GET' | 'HEAD'): Promise<Answer> {
    const manifest =
      tag === undefined ? this.#manifests.get(asking, digest, method) : this.#tags.get(asking, tag, method);
    const answer = await told(manifest);
    if (method === 'GET' && answer.kind === 'content') for (const told of this.#pulled) told(asking, answer);
    return answer;
  }

  /** What is here and may be read, as far as no upstream has to be asked; otherwise undefined. */
  async stored(asking: ManifestAsking, reference: Reference | Digest): Promise<ContentAnswer | undefined> {
    const isBlob = typeof reference === 'string';
    if (!isBlob && reference.tag !== undefined) return this.#tags.fresh(asking, reference.tag);
    const digest = isBlob ? reference : reference.digest;
    if (!(await this.#parts.membership.knows(asking, digest))) return undefined;
    return isBlob ? this.#blobs.stored(asking, digest, STORED) : this.#manifests.stored(asking, digest, STORED);
  }

  /** What a tag meant at `time` (epoch milliseconds), as far as that is known here. */
  tagAt(asking: ManifestAsking, tag: string, time: number): Promise<Digest | undefined> {
    return this.#tags.at(asking, tag, time);
  }

  /** The tags of a repository. */
  tags(asking: ListAsking): Promise<UpstreamAnswer> {
    return told(this.#lists.tags(asking));
  }

  /** The manifests of a repository whose subject is `digest`. */
  referrers(asking: ListAsking, digest: Digest): Promise<UpstreamAnswer> {
    return told(this.#lists.referrers(asking, digest));
  }

  /** Forgets what a tag or a repository's manifest pointed to, since somebody wrote to it through us. */
  async forget(repository: Repository, reference: Reference): Promise<void> {
    if (reference.tag === undefined) await this.#parts.content.removeLink(repository, reference.digest);
    else await this.#parts.content.removeTag(repository, reference.tag);
  }

  /** Takes what was evicted out of memory. */
  evicted(digest: Digest): void {
    this.#parts.small.evict(digest);
  }

  /** `pulled` is called with every manifest that a client gets. */
  onPulled(pulled: (asking: Asking, manifest: ContentAnswer) => void): void {
    this.#pulled.push(pulled);
  }

  /** Parks the fill of a blob, if it runs and nobody follows it. */
  makeWay(digest: Digest): void {
    const fill = this.#parts.fills.get(digest);
    if (fill !== undefined && !fill.isFollowed) fill.park(new Error('it makes way for another'));
  }

  /** Parks what is being fetched. */
  close(): Promise<void> {
    return this.#parts.fills.close();
  }
}

async function told<Value>(answer: Promise<Value>): Promise<Value> {
  try {
    return await answer;
  } catch (error) {
    throw toClientError(error);
  }
}
