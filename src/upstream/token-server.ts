import { publish } from '../events.ts';
import type { Breaker } from './breaker.ts';
import { UpstreamError } from './contract.ts';
import { retry } from './retry.ts';
import { throwIfFailed } from './verdict.ts';
import { type Answer, discard, readBody, type Wire } from './wire.ts';

/** A request to a token server whose URL has been checked (distribution, docs/spec/auth/token.md and oauth.md). */
export interface TokenExchange {
  readonly method: 'GET' | 'POST';
  readonly url: URL;
  readonly authorization?: string | undefined;
  readonly accept?: string | undefined;
  readonly contentType?: string | undefined;
  readonly body?: Uint8Array | undefined;
  readonly guarded: boolean;
  readonly signal: AbortSignal;
}

export interface TokenAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly bytes: Uint8Array;
}

const TOKEN_LIMIT = 1_048_576;

/** Sends token requests: a connection of its own for each, no redirects, GETs retried, answers of at most 1 MiB. */
export class TokenServer {
  readonly #name: string;
  readonly #wire: Wire;
  readonly #breakerOf: (origin: string) => Breaker | undefined;

  constructor(name: string, wire: Wire, breakerOf: (origin: string) => Breaker | undefined) {
    this.#name = name;
    this.#wire = wire;
    this.#breakerOf = breakerOf;
  }

  /** Any answer below 500 but 408 and 429; throws UpstreamError for the rest. */
  async ask(exchange: TokenExchange): Promise<TokenAnswer> {
    const breaker = this.#breakerOf(exchange.url.origin);
    const admitted = (): boolean => breaker?.admits() ?? true;
    if (!admitted()) throw new UpstreamError('unreachable', `${exchange.url.host} cannot be reached`);
    return retry(
      () => this.#once(exchange),
      () => exchange.method === 'GET' && admitted(),
      exchange.signal,
    );
  }

  async #once(exchange: TokenExchange): Promise<TokenAnswer> {
    const { method, url, body, guarded, signal, accept, authorization, contentType } = exchange;
    const headers = {
      accept: accept ?? 'application/json',
      ...(authorization !== undefined && { authorization }),
      ...(contentType !== undefined && { 'content-type': contentType }),
    };
    const answer = await this.#wire.exchange({
      kind: 'token',
      method,
      url,
      headers,
      body,
      guarded,
      // Only realms that were checked get here; a certificate is for those that stand in the configuration.
      own: true,
      alone: true,
      signal,
    });
    await throwIfFailed(answer);
    return this.#read(answer);
  }

  async #read(answer: Answer): Promise<TokenAnswer> {
    const { status, headers } = answer;
    const broken = (what: string): UpstreamError => {
      discard(answer);
      return new UpstreamError('protocol', `the token server ${answer.url.host} ${what}`, { status });
    };
    if (status >= 300 && status < 400) throw broken('redirects, which no token request follows');
    if ((headers['content-encoding'] ?? 'identity') !== 'identity') throw broken('encodes what must be plain');
    const bytes = await readBody(answer.body, TOKEN_LIMIT);
    if (bytes === undefined) throw broken('sent a cut or an oversized answer');
    publish('upstreamBytes', { upstream: this.#name, bytes: bytes.length });
    return { status, headers, bytes };
  }
}
