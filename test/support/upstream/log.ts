import type { IncomingHttpHeaders } from 'node:http';
import type { Exchange, Kind } from './exchange.ts';
import type { Role } from './profile.ts';

/** A request as an upstream host saw it. */
export interface LoggedRequest {
  readonly role: Role;
  readonly method: string;
  /** The raw request target. */
  readonly url: string;
  readonly kind: Kind;
  readonly repository: string;
  /** Tag, digest or upload session. */
  readonly reference: string;
  readonly headers: IncomingHttpHeaders;
  /** All header lines as they came: name, value, name, value. */
  readonly rawHeaders: readonly string[];
  /** 0 while it is not answered. */
  status: number;
  /** Body bytes handed to the connection so far. */
  bytes: number;
}

/** Picks requests; what is left out matches all. */
export interface Where {
  readonly role?: Role;
  readonly kind?: Kind;
  readonly method?: string;
  readonly repository?: string;
  readonly reference?: string;
}

export function matches(where: Where & { readonly status?: number }, request: Omit<LoggedRequest, 'bytes'>): boolean {
  return (
    (where.role ?? request.role) === request.role &&
    (where.kind ?? request.kind) === request.kind &&
    (where.method ?? request.method) === request.method &&
    (where.repository ?? request.repository) === request.repository &&
    (where.reference ?? request.reference) === request.reference &&
    (where.status ?? request.status) === request.status
  );
}

export function logged({ role, method, target, request }: Exchange): LoggedRequest {
  return {
    role,
    method,
    url: request.url ?? '',
    ...target,
    headers: request.headers,
    rawHeaders: request.rawHeaders,
    status: 0,
    bytes: 0,
  };
}
