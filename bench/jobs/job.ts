import type { Request, Target } from '../connection.ts';

/** A span of time, in milliseconds since the epoch; only what happens within counts. */
export interface Span {
  readonly startAt: number;
  readonly endAt: number;
}

/** What one load process is to do. */
export type Job =
  | ({ readonly kind: 'press'; readonly requests: readonly Request[] } & Asking & Span)
  | ({ readonly kind: 'fetch'; readonly request: Request } & Asking)
  | ({ readonly kind: 'drain'; readonly visits: readonly (readonly Request[])[] } & Asking)
  | ({ readonly kind: 'greet' } & Asking & Span)
  | ({ readonly kind: 'stall'; readonly request: Request } & Asking)
  | { readonly kind: 'release' };

interface Asking {
  readonly target: Target;
  readonly connections: number;
}

export interface Pressed {
  /** Body bytes and complete answers within the span. */
  readonly bytes: number;
  readonly requests: number;
  /** Milliseconds. */
  readonly p50: number;
  readonly p99: number;
}

/** Milliseconds since the request was sent on a connection that was open. */
export interface Fetched {
  readonly firstByte: number;
  readonly total: number;
}

/** Milliseconds, of all of it and of each request. */
export interface Drained {
  readonly total: number;
  readonly p50: number;
  readonly p99: number;
}
