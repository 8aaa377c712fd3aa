import { publish } from '../events.ts';
import { UpstreamError } from '../upstream/contract.ts';
import type { Upstream } from '../upstream/upstream.ts';
import { type Credential, parseAuthorization, parseForm } from './authorization.ts';
import type { Callers } from './callers.ts';
import type { OfflineTokens } from './offline-tokens.ts';

/** A client's token request: GET with Basic or nothing, or POST of a form (distribution, docs/spec/auth). */
export interface TokenRequest {
  readonly method: 'GET' | 'POST';
  readonly query: URLSearchParams;
  readonly authorization?: string;
  readonly contentType?: string;
  readonly body: Uint8Array;
  readonly signal: AbortSignal;
}

export interface TokenAnswer {
  readonly status: number;
  readonly contentType: string;
  readonly bytes: Uint8Array;
  /** The token is ours, since the upstream's service was out of reach. */
  readonly offline: boolean;
}

/** Seconds a token lives that does not say so (distribution, docs/spec/auth/token.md). */
const DEFAULT_LIFE = 60;

/** Carries token requests to the service that the upstream names, and stands in for it while it is out of reach. */
export class TokenRelay {
  readonly #callers: Callers;
  readonly #offline: OfflineTokens;
  readonly #upstream: (name: string) => Upstream;

  constructor(callers: Callers, offline: OfflineTokens, upstream: (name: string) => Upstream) {
    this.#callers = callers;
    this.#offline = offline;
    this.#upstream = upstream;
  }

  async relay(name: string, request: TokenRequest): Promise<TokenAnswer> {
    const form =
      request.method === 'POST'
        ? new URLSearchParams(Buffer.from(request.body).toString('utf8'))
        : new URLSearchParams();
    const credential =
      parseForm(form) ?? (request.authorization === undefined ? undefined : parseAuthorization(request.authorization));
    const upstream = this.#upstream(name);
    try {
      const answer = await upstream.token(request);
      if (answer.status === 200) this.#remember(upstream.name, answer.bytes, credential);
      return {
        status: answer.status,
        contentType: answer.headers['content-type'] ?? 'application/json',
        bytes: answer.bytes,
        offline: false,
      };
    } catch (error) {
      const wantsScope = request.query.has('scope') || form.has('scope');
      const mayStandIn =
        error instanceof UpstreamError && (error.failure === 'unreachable' || error.failure === 'throttled');
      if (!mayStandIn || !wantsScope) throw error;
      publish('notice', {
        level: 'warn',
        message: `the token service of ${upstream.name} is out of reach: issuing a token for cached content`,
        error,
      });
      const document = await this.#offline.issue(this.#callers.principalOf(credential, upstream.name), upstream.name);
      return {
        status: 200,
        contentType: 'application/json',
        bytes: Buffer.from(JSON.stringify(document)),
        offline: true,
      };
    }
  }

  #remember(upstream: string, bytes: Uint8Array, credential: Credential | undefined): void {
    const document = parseDocument(bytes);
    const principal = this.#callers.principalOf(credential, upstream);
    const life = typeof document.expires_in === 'number' ? document.expires_in : DEFAULT_LIFE;
    for (const name of ['token', 'access_token']) {
      const token = document[name];
      if (typeof token === 'string') this.#callers.issued(upstream, token, principal, Math.max(life, DEFAULT_LIFE));
    }
  }
}

function parseDocument(bytes: Uint8Array): Record<string, unknown> {
  try {
    const document: unknown = JSON.parse(Buffer.from(bytes).toString('utf8'));
    return typeof document === 'object' && document !== null ? (document as Record<string, unknown>) : {};
  } catch {
    return {};
  }
}
