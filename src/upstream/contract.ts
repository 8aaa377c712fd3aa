import type { Readable } from 'node:stream';

/** A certificate chain and its key; both PEM. */
export interface ClientCertificate {
  readonly cert: string;
  readonly key: string;
}

/** Holds requests back, and the bytes of what they bring. */
export interface Pacing {
  /** Whether there is a limit at all. */
  readonly isSet: boolean;
  /** Resolves when one may go out; throws UpstreamError (`throttled`, without a status) when it may not soon. */
  admit(signal: AbortSignal): Promise<void>;
  readonly bandwidth: { pace(body: Readable): Readable };
}

/** How to talk to one remote registry; built from the configuration by the one who wires the rooms. */
export interface UpstreamOptions {
  /** Namespace, such as `docker.io`. */
  readonly name: string;
  /** Host names that clients know it by. */
  readonly hosts: readonly string[];
  /** Base URLs, tried in order. */
  readonly urls: readonly URL[];
  /** A client chose the host: it must not have a private address. */
  readonly guarded?: boolean;
  /** PEM certificates trusted beside the system's. */
  readonly ca?: string;
  /** Shown to the origins of `urls` and to `tokenHosts`, and to no other host. */
  readonly clientCert?: ClientCertificate;
  /** Accounts of ours by their ids. */
  readonly accounts?: Readonly<Record<string, { readonly username: string; readonly password: string }>>;
  /** A limit of our own, which may be shared with others. */
  readonly limit?: Pacing;
  /** Connections over which one blob may come; 1 when absent. */
  readonly parallel?: number;
  /** `host[:port]` that may be sent credentials for tokens, beside the hosts of `urls`. */
  readonly tokenHosts: readonly string[];
  /** `host[:port]` that are allowed as redirect targets although private or http. */
  readonly blobHosts: readonly string[];
}

/** As whom a request is made: nobody, an account of ours, or a client whose own header is passed on. */
export type Identity =
  | { readonly kind: 'anonymous' }
  | { readonly kind: 'configured'; readonly account: string }
  | { readonly kind: 'forward'; readonly authorization: string; readonly principal: string };

/** Tells askers apart who may get different answers. */
export function principalOf(identity: Identity): string {
  if (identity.kind === 'forward') return identity.principal;
  return identity.kind === 'configured' ? identity.account : identity.kind;
}

export interface UpstreamRequest {
  readonly kind: 'manifest' | 'blob' | 'tags' | 'referrers' | 'other';
  readonly method: 'GET' | 'HEAD';
  /** The repository's name at the upstream, for the token's scope. */
  readonly repository: string;
  /** Path and query below the base URL: `/v2/library/nginx/manifests/latest`. */
  readonly path: string;
  readonly identity: Identity;
  /** Absent: for a manifest every type of today, since some registries deny an index to who does not list it. */
  readonly accept?: readonly string[];
  /** `end` is exclusive; without it, to the end. */
  readonly range?: { readonly start: number; readonly end?: number };
  readonly userAgent?: string;
  readonly signal: AbortSignal;
  /** Milliseconds; overrides the 30 s an answer's head may take. */
  readonly headTimeout?: number;
}

/** The final answer after redirects, tokens, retries and fail-over: any status below 500 but 408, 429 and redirects. */
export interface UpstreamResponse {
  readonly status: number;
  /** Field names in lower case; repeated fields joined by `, ` (WWW-Authenticate: see `challenges`). */
  readonly headers: Readonly<Record<string, string>>;
  /** The WWW-Authenticate lines as they came, one each. */
  readonly challenges: readonly string[];
  /** Must be consumed or destroyed. Not decoded in any way. */
  readonly body: Readable;
}

/** What `/v2/` said: kept, so that it can be repeated while the upstream is gone. */
export interface PingRecord {
  readonly status: number;
  readonly challenges: readonly string[];
}

/**
 * Why an upstream could not answer. `unreachable`: no connection, no answer in time, 5xx after retries, breaker open;
 * `throttled`: 429 or its cool-down; `protocol`: an answer that breaks the rules and that a retry will not cure;
 * `loop`: its name leads back to this gateway.
 */
export type UpstreamFailure = 'unreachable' | 'throttled' | 'protocol' | 'loop';

export class UpstreamError extends Error {
  override readonly name = 'UpstreamError';
  readonly failure: UpstreamFailure;
  /** The upstream's own status, when there was an answer. */
  readonly status: number | undefined;
  /** Seconds. */
  readonly retryAfter: number | undefined;
  /** The upstream's own error document, at most 64 KiB, for verbatim relay. */
  readonly body: { readonly bytes: Uint8Array; readonly contentType: string } | undefined;
  /** The same request to the same place may well succeed a moment later. */
  readonly transient: boolean;

  constructor(
    failure: UpstreamFailure,
    message: string,
    options: {
      readonly cause?: unknown;
      readonly status?: number;
      readonly retryAfter?: number;
      readonly body?: { readonly bytes: Uint8Array; readonly contentType: string } | undefined;
      readonly transient?: boolean;
    } = {},
  ) {
    super(message, { cause: options.cause });
    this.failure = failure;
    this.status = options.status;
    this.retryAfter = options.retryAfter;
    this.body = options.body;
    this.transient = options.transient ?? false;
  }
}
