/** The host names one upstream consists of, each a listener of its own. */
export type Role = 'registry' | 'token' | 'cdn' | 'origin';

export type ProfileName = 'hub' | 'ghcr' | 'quay' | 'lscr' | 'k8s' | 'gar' | 'mcr' | 'basic';

/** The ways in which one public registry differs from the next. */
export interface Profile {
  readonly roles: readonly Role[];
  /** What it asks of callers: a token, a user and password on every request, or nothing. */
  readonly auth: 'bearer' | 'basic' | 'open';
  /** Public repositories too are only read with a token, which anybody gets for the asking. */
  readonly publicNeedsToken: boolean;
  readonly realm?: Realm;
  readonly refusal: Refusal;
  readonly elsewhere?: Elsewhere;
  readonly blobs?: BlobRedirect;
  /** What a manifest request's Accept does to the answer. */
  readonly accept: 'ignored' | 'index-must-be-listed' | 'rewrites';
  /** Counts manifest GETs and says so in `ratelimit-*` headers. */
  readonly countsPulls: boolean;
  readonly referrers: 'api' | 'absent' | 'login-page';
  readonly catalog: 'listed' | 'refused' | 'absent';
  /** How the next page of a list is named. */
  readonly paging: 'relative' | 'absolute' | 'none';
  readonly writable: boolean;
}

/** Where tokens come from and what they look like. */
export interface Realm {
  readonly role: 'token' | 'self';
  readonly path: string;
  readonly service?: string;
  /** A scope in the challenge of `/v2/`, where most registries have none. */
  readonly pingScope?: string;
  /** The challenge stands on `/v2/` also when the caller is authorised. */
  readonly alwaysChallenges?: boolean;
  readonly post: 'accepted' | 404 | 405;
  /** Asked for more than the caller may: a token for less, or no token. */
  readonly excess: 'token-for-less' | 'denied';
  body(token: string, life: number, now: Date): Record<string, unknown>;
}

/** The answer to a token that does not open a repository; private and absent look the same. */
export interface Refusal {
  readonly status: 401 | 403 | 404;
  readonly code: string;
  /** `error` parameter of a challenge that comes with it. */
  readonly error?: string;
}

/** Content that is at another registry altogether, under `prefix` + name. */
export interface Elsewhere {
  readonly kinds: readonly string[];
  readonly prefix: string;
  /** Only these clients are redirected; for the others the answer is fetched and passed on. */
  readonly agents?: RegExp;
}

export interface BlobRedirect {
  readonly status: 302 | 307;
  /** `self` is a relative Location on the registry's own host. */
  readonly to: 'cdn' | 'self';
  /** The URL carries a signature that expires. */
  readonly signed: boolean;
  readonly head: 'redirected' | 'direct';
  /** The signature is for GET alone. */
  readonly signedForGetOnly?: boolean;
  readonly headers?: Readonly<Record<string, string>>;
  readonly html?: boolean;
}
