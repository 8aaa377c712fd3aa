import type { Readable } from 'node:stream';
import type { Caller } from '../auth/principal.ts';
import type { CacheResult, Door } from '../events.ts';
import type { Digest } from '../oci/digest.ts';
import type { ByteRange } from '../oci/range.ts';
import type { Reference, Repository } from '../oci/route.ts';

/** Everything an endpoint may know about what is asked: no URL, no Host header, no door is looked at after this. */
export type Route =
  | { readonly kind: 'ping'; readonly upstream?: string }
  | { readonly kind: 'token'; readonly upstream?: string; readonly query: string }
  | {
      readonly kind: 'manifest';
      readonly repository: Repository;
      readonly reference: Reference;
      /** On our own names. */
      readonly query?: string;
    }
  | { readonly kind: 'blob'; readonly repository: Repository; readonly digest: Digest }
  | { readonly kind: 'tags'; readonly repository: Repository; readonly query: string }
  | { readonly kind: 'referrers'; readonly repository: Repository; readonly digest: Digest; readonly query: string }
  /** Of what is hosted. */
  | { readonly kind: 'catalog'; readonly upstream?: undefined; readonly query: string }
  | {
      readonly kind: 'upload';
      readonly repository: Repository;
      /** As the path spells it. */
      readonly session?: string;
      readonly query: string;
      /** The repository that `from` in the query means. */
      readonly from?: Repository;
    };

/** One request, as the gateway hands it to an endpoint. */
export interface Exchange {
  readonly route: Route;
  readonly door: Door;
  readonly method: 'GET' | 'HEAD' | 'POST' | 'PATCH' | 'PUT' | 'DELETE';
  /** `https://host[:port]` as the validated client spoke to it; realms are built on it. */
  readonly origin: string;
  readonly caller: Caller;
  readonly headers: RequestHeaders;
  /** Request body of at most 64 KiB; only for token requests. */
  readonly body: Uint8Array;
  /** What is pushed; absent where nothing is sent. */
  readonly upload?: RequestBody;
  /** Aborted when the client goes away. */
  readonly signal: AbortSignal;
}

/** The request fields endpoints look at; everything else of the client's head stops at the gateway. */
export interface RequestHeaders {
  readonly accept: readonly string[];
  readonly range?: string;
  readonly ifNoneMatch?: string;
  readonly ifRange?: string;
  readonly userAgent?: string;
  readonly contentType?: string;
  readonly contentRange?: string;
  /** The client wants an answer only if nobody has to be asked for it. */
  readonly onlyIfCached?: boolean;
}

/** A request's body, to be read once. Nothing is read, nor a client told to go on, before it is iterated. */
export interface RequestBody extends AsyncIterable<Uint8Array> {
  /** Bytes, where they were announced. */
  readonly length: number | undefined;
}

/**
 * Bytes at positions: a committed object, or a fill that is still growing, whose `read` waits until the bytes are
 * there and may be given out, and throws when they never will be.
 */
export interface ByteSource extends AsyncDisposable {
  read(buffer: Uint8Array, position: number, signal: AbortSignal): Promise<number>;
}

/** The body of an answer; each kind has exactly one sender, in the gateway. */
export type Body =
  | { readonly kind: 'bytes'; readonly bytes: Uint8Array }
  | { readonly kind: 'source'; readonly source: ByteSource; readonly range: ByteRange }
  | {
      readonly kind: 'parts';
      readonly source: ByteSource;
      readonly parts: readonly { readonly head: Uint8Array; readonly range: ByteRange }[];
      readonly tail: Uint8Array;
    }
  | { readonly kind: 'stream'; readonly stream: Readable };

/** What the cache did for an answer and why: one word from the list in docs/operations.md. */
export interface Outcome {
  readonly cache: CacheResult;
  readonly why: string;
  /** The answer's bytes are being kept. */
  readonly stored?: boolean;
  /** Milliseconds waited for the upstream. */
  readonly upstreamTime?: number;
  /** Who logged in by this exchange. */
  readonly user?: string;
}

/**
 * An endpoint's answer. Content-Length is always among `headers` unless the body is a stream of unknown length.
 * For HEAD the gateway sends the same head and disposes of the body.
 */
export interface Reply {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | readonly string[]>>;
  readonly body?: Body;
  readonly outcome: Outcome;
}

/** The registry's endpoints as one function: gives a reply or throws a RegistryError. */
export type Endpoints = (exchange: Exchange) => Promise<Reply>;
