import { publish } from '../events.ts';
import { algorithmOf, type Digest, digestOf } from '../oci/digest.ts';
import { parseManifest } from '../oci/manifest.ts';
import { acceptTypes, essence, isSchema1, MediaType, MODERN_ACCEPT } from '../oci/media-type.ts';
import { namespaced } from '../oci/route.ts';
import { tellFailed } from '../store/trouble.ts';
import { UpstreamError, type UpstreamResponse } from '../upstream/contract.ts';
import { type Answer, type ContentAnswer, type Handling, liveFields, upstreamAnswer, used } from './answer.ts';
import type { Parts } from './blobs.ts';
import type { Asking, Proof } from './membership.ts';
import { lengthOf } from './source.ts';
import { verified } from './verified-stream.ts';

const REFUSED: Handling = { cache: 'miss', why: 'upstream-refused' };
/** Larger manifests pass through without being kept (bytes). */
const MAX_MANIFEST = 16 << 20;

/** A request for a manifest: what the client accepts decides what an upstream sends for a tag. */
export interface ManifestAsking extends Asking {
  readonly accept: readonly string[];
}

/** Manifests by digest. */
export class Manifests {
  readonly #parts: Parts;
  readonly #fetching = new Map<string, Promise<Answer>>();

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  async get(asking: ManifestAsking, digest: Digest, method: 'GET' | 'HEAD'): Promise<Answer> {
    const bytes = await this.#bytes(digest);
    if (bytes === undefined && method === 'GET') return this.fetch(asking, digest, 'first-time');
    const proof = await this.#parts.membership.prove(asking, digest, probeOf(asking, digest));
    if (proof.kind === 'refused') {
      if (method === 'HEAD') return upstreamAnswer(proof.response, REFUSED, false);
      return upstreamAnswer(await this.#request(asking, digest, method), REFUSED, true);
    }
    if (bytes !== undefined) return this.#local(asking, digest, bytes, handlingOf(proof));
    const response = await this.#request(asking, digest, 'HEAD');
    return upstreamAnswer(response, response.status === 200 ? { cache: 'miss', why: 'head-only' } : REFUSED, false);
  }

  /** What the store has of a manifest that the caller's right to is settled. */
  async stored(asking: Asking, digest: Digest, handling: Handling): Promise<ContentAnswer | undefined> {
    const bytes = await this.#bytes(digest);
    return bytes === undefined ? undefined : this.#local(asking, digest, bytes, handling);
  }

  /** Fetches a manifest that is not there; callers that are the same to the upstream share one request. */
  fetch(asking: ManifestAsking, digest: Digest, why: 'first-time' | 'tag-moved'): Promise<Answer> {
    const { caller, repository } = asking;
    const key = `${caller.principal} ${repository.upstream}/${repository.name} ${digest}`;
    const running = this.#fetching.get(key);
    if (running !== undefined)
      return running.then((answer) => (answer.kind === 'content' ? answer : this.#fetch(asking, digest, why)));
    const fetching = this.#fetch(asking, digest, why).finally(() => this.#fetching.delete(key));
    this.#fetching.set(key, fetching);
    return fetching;
  }

  /** Verifies, keeps and links a manifest that an upstream sent. */
  async keep(asking: Asking, digest: Digest, mediaType: string, bytes: Uint8Array): Promise<boolean> {
    const { content, small } = this.#parts;
    try {
      await content.putBlob(digest, bytes);
      const children = parseManifest(bytes)?.children.map((child) => child.digest) ?? [];
      await content.addClaims(asking.repository, children);
      small.set(digest, bytes);
      const repository = namespaced(asking.repository);
      publish('content', { phase: 'stored', digest, repository, size: bytes.length, children });
      return true;
    } catch (error) {
      tellFailed(`cannot keep the manifest ${digest}`, error, { fields: { mediaType } });
      return false;
    }
  }

  async #fetch(asking: ManifestAsking, digest: Digest, why: 'first-time' | 'tag-moved'): Promise<Answer> {
    const { access, membership, small } = this.#parts;
    const { repository, caller } = asking;
    const identity = await access.identity(caller, repository);
    const probe = probeOf(asking, digest);
    const response = await this.#request(asking, digest, 'GET');
    if (response.status !== 200) {
      await membership.refuse(asking, identity, response.status);
      return upstreamAnswer(response, REFUSED, true);
    }
    const bytes = await readManifest(response, repository.upstream);
    if (bytes === undefined) {
      const isVerifiable = !isSchema1(essence(response.headers['content-type'] ?? ''));
      const body = isVerifiable ? await verified(response.body, digest) : response.body;
      return upstreamAnswer({ ...response, body }, { cache: 'bypass', why: 'not-cacheable' }, true);
    }
    if (digestOf(bytes, algorithmOf(digest)) !== digest) {
      throw new UpstreamError('protocol', 'the upstream sent a manifest that is not what its digest says');
    }
    const mediaType = essence(response.headers['content-type'] ?? '') || MediaType.ociManifest;
    const stored = await this.keep(asking, digest, mediaType, bytes);
    await membership.record(asking, identity, digest, probe, { mediaType });
    return {
      kind: 'content',
      digest,
      size: bytes.length,
      mediaType,
      body: bytes,
      ...liveFields(response),
      handling: { cache: 'miss', why: why === 'first-time' ? small.missing(digest) : why, stored },
    };
  }

  async #bytes(digest: Digest): Promise<Uint8Array | undefined> {
    const { content, small } = this.#parts;
    const kept = small.get(digest);
    if (kept !== undefined) return kept;
    await using object = await content.openBlob(digest);
    if (object === undefined || object.size > MAX_MANIFEST) return undefined;
    const bytes = await content.readBlob(digest, object);
    if (bytes !== undefined) small.set(digest, bytes);
    return bytes;
  }

  async #local(asking: Asking, digest: Digest, bytes: Uint8Array, handling: Handling): Promise<ContentAnswer> {
    const link = await this.#parts.content.link(asking.repository, digest);
    const mediaType = link?.mediaType ?? parseManifest(bytes)?.mediaType ?? MediaType.ociManifest;
    return used(asking, { kind: 'content', digest, size: bytes.length, mediaType, body: bytes, handling });
  }

  async #request(asking: ManifestAsking, digest: Digest, method: 'GET' | 'HEAD'): Promise<UpstreamResponse> {
    const { access, upstream } = this.#parts;
    const { repository, caller, userAgent } = asking;
    return upstream(repository.upstream).request({
      ...probeOf(asking, digest),
      method,
      repository: repository.name,
      identity: await access.identity(caller, repository),
      accept: [...new Set([...acceptTypes(asking.accept), ...MODERN_ACCEPT])],
      signal: AbortSignal.timeout(FETCH_TIMEOUT),
      ...(userAgent !== undefined && { userAgent }),
    });
  }
}

const FETCH_TIMEOUT = 120_000;

/**
 * The body of a manifest; `undefined`, with the whole body still to be read, when it is of a kind or size that is
 * never kept. Encoded bytes are refused.
 */
export async function readManifest(response: UpstreamResponse, upstream: string): Promise<Uint8Array | undefined> {
  const { headers, body } = response;
  const encoding = headers['content-encoding'];
  if (encoding !== undefined && encoding !== 'identity') {
    body.destroy();
    throw new UpstreamError(
      'protocol',
      `the upstream encoded a manifest (${encoding}) although identity was asked for`,
    );
  }
  const length = lengthOf(headers['content-length']);
  if (isSchema1(essence(headers['content-type'] ?? '')) || (length ?? 0) > MAX_MANIFEST) return undefined;
  const chunks: Buffer[] = [];
  let total = 0;
  try {
    for await (const chunk of body.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
      chunks.push(chunk);
      total += chunk.length;
      if (total > MAX_MANIFEST) break;
    }
  } catch (cause) {
    throw new UpstreamError('unreachable', 'the upstream broke off a manifest', { cause });
  }
  if (total > MAX_MANIFEST) {
    body.unshift(Buffer.concat(chunks, total));
    return undefined;
  }
  publish('upstreamBytes', { upstream, bytes: total });
  if (length !== undefined && length !== total)
    throw new UpstreamError('protocol', 'the upstream sent a manifest of another length than it said');
  return Buffer.concat(chunks, total);
}

export function probeOf(
  { repository }: Asking,
  reference: string,
): { readonly kind: 'manifest'; readonly path: string } {
  return { kind: 'manifest', path: `/v2/${repository.name}/manifests/${reference}` };
}

function handlingOf(proof: Proof): Handling {
  if (proof.kind === 'offline') return { cache: 'hit', why: 'upstream-unreachable' };
  return { cache: 'hit', why: proof.kind === 'asked' ? 'not-proven' : 'stored' };
}
