import { UpstreamError } from './contract.ts';
import type { TokenAnswer } from './token-server.ts';

/** What a token is good for, and whose it is. */
export interface TokenRequest {
  readonly realm: URL;
  readonly service: string | undefined;
  readonly scopes: readonly string[];
  /** `anonymous`, or the id of an account of ours. */
  readonly principal: string;
  readonly guarded: boolean;
}

export interface Token {
  readonly value: string;
  /** It was not in the cache. */
  readonly fresh: boolean;
}

interface Entry {
  readonly value: string;
  /** Milliseconds of the monotonic clock. */
  readonly until: number;
}

const SHORTEST_LIFE = 60;
/** Share of its life after which a token is asked for anew. */
const USED_FOR = 0.9;
const LIMIT = 10_000;

/**
 * The tokens of one upstream by realm, service, scopes and principal; requests for the same one share a flight, which
 * no single caller can end.
 */
export class Tokens {
  readonly #ask: (request: TokenRequest, signal: AbortSignal) => Promise<TokenAnswer>;
  readonly #tokens = new Map<string, Entry>();
  readonly #flights = new Map<string, Promise<string | undefined>>();
  readonly #closed: AbortSignal;
  readonly #now: () => number;

  /** `now` is a monotonic clock in milliseconds. */
  constructor(
    ask: (request: TokenRequest, signal: AbortSignal) => Promise<TokenAnswer>,
    closed: AbortSignal,
    now: () => number = () => performance.now(),
  ) {
    this.#ask = ask;
    this.#closed = closed;
    this.#now = now;
  }

  /** A token, or `undefined` when the token server refuses one. Throws UpstreamError. */
  async get(request: TokenRequest, signal: AbortSignal): Promise<Token | undefined> {
    const key = keyOf(request);
    const entry = this.#tokens.get(key);
    if (entry !== undefined && entry.until > this.#now()) return { value: entry.value, fresh: false };
    const value = await unlessAborted(this.#flights.get(key) ?? this.#fly(key, request), signal);
    return value === undefined ? undefined : { value, fresh: true };
  }

  /** Drops a token that the registry no longer takes, unless it has been replaced meanwhile. */
  forget(request: TokenRequest, value: string): void {
    const key = keyOf(request);
    if (this.#tokens.get(key)?.value === value) this.#tokens.delete(key);
  }

  #fly(key: string, request: TokenRequest): Promise<string | undefined> {
    const flight = this.#fetch(key, request).finally(() => this.#flights.delete(key));
    flight.catch(() => {});
    this.#flights.set(key, flight);
    return flight;
  }

  async #fetch(key: string, request: TokenRequest): Promise<string | undefined> {
    const asked = this.#now();
    const answer = await this.#ask(request, this.#closed);
    if (answer.status >= 300) return undefined;
    const { value, life } = readToken(answer.bytes, request.realm);
    this.#tokens.delete(key);
    this.#tokens.set(key, { value, until: asked + life * USED_FOR * 1_000 });
    for (const oldest of this.#tokens.keys()) {
      if (this.#tokens.size <= LIMIT) break;
      this.#tokens.delete(oldest);
    }
    return value;
  }
}

/** Where to GET a token for `request`; what the realm's own query says stays. */
export function tokenUrl(request: Pick<TokenRequest, 'realm' | 'service' | 'scopes'>): URL {
  const url = new URL(request.realm);
  if (request.service !== undefined) url.searchParams.set('service', request.service);
  if (request.scopes.length > 0) url.searchParams.delete('scope');
  for (const scope of request.scopes) url.searchParams.append('scope', scope);
  return url;
}

function keyOf({ realm, service, scopes, principal }: TokenRequest): string {
  return JSON.stringify([realm.href, service, [...scopes].sort(), principal]);
}

/** The token and its life in seconds: `token` or `access_token`, `expires_in` at least and by default 60. */
function readToken(bytes: Uint8Array, realm: URL): { readonly value: string; readonly life: number } {
  const document = parseObject(bytes);
  const value = [document.token, document.access_token].find((text) => typeof text === 'string' && text !== '');
  if (typeof value !== 'string' || !/^[\x21-\x7e]+$/.test(value)) {
    throw new UpstreamError('protocol', `the token server ${realm.host} sent no usable token`);
  }
  const life = Number(document.expires_in);
  return { value, life: Number.isFinite(life) ? Math.max(life, SHORTEST_LIFE) : SHORTEST_LIFE };
}

function parseObject(bytes: Uint8Array): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(Buffer.from(bytes).toString());
    return typeof value === 'object' && value !== null ? { ...value } : {};
  } catch {
    return {};
  }
}

function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  signal.throwIfAborted();
  const { promise: aborted, reject } = Promise.withResolvers<never>();
  const onAbort = (): void => reject(signal.reason);
  signal.addEventListener('abort', onAbort, { once: true });
  return Promise.race([promise, aborted]).finally(() => signal.removeEventListener('abort', onAbort));
}
