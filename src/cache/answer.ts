import type { Readable } from 'node:stream';
import { type CacheResult, publish } from '../events.ts';
import type { Digest } from '../oci/digest.ts';
import type { ByteRange } from '../oci/range.ts';
import { namespaced, type Repository } from '../oci/route.ts';
import type { UpstreamResponse } from '../upstream/contract.ts';

/** Why a cache result is what it is; the list is closed, so that it can be counted. */
export type Why =
  | 'stored'
  | 'fresh'
  | 'unchanged'
  | 'first-time'
  | 'evicted'
  | 'tag-moved'
  | 'being-fetched'
  | 'not-proven'
  | 'upstream-unreachable'
  | 'upstream-throttled'
  | 'upstream-slow'
  | 'upstream-refused'
  | 'not-cacheable'
  | 'no-space'
  | 'head-only';

/** How the cache came to an answer. */
export interface Handling {
  readonly cache: CacheResult;
  readonly why: Why;
  /** The bytes are being kept. */
  readonly stored?: boolean;
}

/** Bytes at positions; see the registry's contract for bodies. */
export interface Source extends AsyncDisposable {
  read(buffer: Uint8Array, position: number, signal: AbortSignal): Promise<number>;
}

/** Content whose digest is known; `body` is absent when only its head was asked for. */
export interface ContentAnswer {
  readonly kind: 'content';
  readonly digest: Digest;
  /** Bytes. */
  readonly size: number;
  /** As the upstream named it; absent for blobs. */
  readonly mediaType?: string;
  readonly body?: Uint8Array | Source;
  /** Several ranges cannot be answered yet: only these are there. */
  readonly has?: (range: ByteRange) => boolean;
  /** What the upstream said of this moment while it was asked for this answer, for the client only. */
  readonly live?: Readonly<Record<string, string>>;
  readonly handling: Handling;
}

/** An upstream's answer that is passed on: a refusal, or something that cannot be kept. */
export interface UpstreamAnswer {
  readonly kind: 'upstream';
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly challenges: readonly string[];
  readonly stream?: Readable;
  readonly handling: Handling;
}

export type Answer = ContentAnswer | UpstreamAnswer;

/** Fields about the caller's budget: passed to whom the upstream was asked for, never stored. */
const LIVE = /^(?:docker-ratelimit-source|(?:x-)?ratelimit-[\w-]+)$/;

export function liveFields({ headers }: UpstreamResponse): { readonly live?: Readonly<Record<string, string>> } {
  const live = Object.entries(headers).filter(([name]) => LIVE.test(name));
  return live.length === 0 ? {} : { live: Object.fromEntries(live) };
}

export function upstreamAnswer(response: UpstreamResponse, handling: Handling, withBody: boolean): UpstreamAnswer {
  const { status, headers, challenges, body } = response;
  if (!withBody) body.destroy();
  return { kind: 'upstream', status, headers, challenges, handling, ...(withBody && { stream: body }) };
}

/** Tells that a client is answered with content that is here. */
export function used({ repository }: { readonly repository: Repository }, answer: ContentAnswer): ContentAnswer {
  const { digest, size } = answer;
  publish('content', { phase: 'used', digest, repository: namespaced(repository), size });
  return answer;
}
