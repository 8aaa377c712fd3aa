import { publish } from '../events.ts';
import { isRepositoryName } from '../oci/name.ts';
import type { Repository } from '../oci/route.ts';
import { parseScope } from '../oci/scope.ts';
import { UpstreamError } from '../upstream/contract.ts';
import { isOutOfReach } from '../upstream/failure.ts';
import type { Upstream } from '../upstream/upstream.ts';
import type { Access } from './access.ts';
import { parseLogin } from './authorization.ts';
import type { Callers } from './callers.ts';
import { isOurs, type OfflineTokens } from './offline-tokens.ts';
import type { Principal } from './principal.ts';

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
  /** The token is ours. */
  readonly offline: boolean;
}

/** Seconds a token lives that does not say so (distribution, docs/spec/auth/token.md). */
const DEFAULT_LIFE = 60;
/** What can stand in a header (RFC 6750, section 2.1, and what services really issue). */
const VISIBLE = /^[\x21-\x7e]+$/;

/** Carries token requests to the service that the upstream names, and stands in for it while it is out of reach. */
export class TokenRelay {
  readonly #access: Access;
  readonly #callers: Callers;
  readonly #offline: OfflineTokens;
  readonly #upstream: (name: string) => Upstream;

  constructor(access: Access, callers: Callers, offline: OfflineTokens, upstream: (name: string) => Upstream) {
    this.#access = access;
    this.#callers = callers;
    this.#offline = offline;
    this.#upstream = upstream;
  }

  async relay(name: string, request: TokenRequest): Promise<TokenAnswer> {
    const upstream = this.#upstream(name);
    const form = request.method === 'POST' ? Buffer.from(request.body).toString('utf8') : undefined;
    const login = { ...request, ...(form !== undefined && { form }) };
    const principal = this.#callers.principalOf(parseLogin(login), upstream.name);
    const scopes = [request.query, new URLSearchParams(form)].flatMap((fields) => fields.getAll('scope'));
    const repositories = scopes.flatMap((scope) => repositoriesOf(upstream.name, scope));
    if (principal === 'anonymous' && this.#areServed(repositories)) return this.#ours(principal, upstream.name);
    try {
      const answer = await upstream.token(request);
      const { status, bytes } = answer;
      // Another gateway stands in for a service that it cannot reach: to our clients its token is worth less than ours.
      const tokens = status === 200 ? tokensIn(bytes) : [];
      if (tokens.some(isOurs)) return this.#ours(principal, upstream.name);
      // A portal or a page of a proxy: the service itself was not reached.
      if (status === 200 && tokens.length === 0)
        throw new UpstreamError('unreachable', `the token service of ${upstream.name} answered without a token`);
      if (status === 200) this.#remember(upstream.name, bytes, principal);
      if (status === 401 || status === 403) {
        for (const repository of repositories) await this.#access.withdraw(principal, repository);
      }
      return { status, contentType: answer.headers['content-type'] ?? 'application/json', bytes, offline: false };
    } catch (error) {
      if (!isOutOfReach(error) || scopes.length === 0) throw error;
      // The breaker has told the operator; this comes with every request.
      publish('notice', {
        level: 'debug',
        message: `the token service of ${upstream.name} is out of reach: issuing a token for cached content`,
        error,
      });
      return this.#ours(principal, upstream.name);
    }
  }

  /** What the configured account serves to everybody needs no token, but clients insist on one. */
  #areServed(repositories: readonly Repository[]): boolean {
    return repositories.length > 0 && repositories.every((repository) => this.#access.isServed(repository));
  }

  async #ours(principal: Principal, upstream: string): Promise<TokenAnswer> {
    const document = await this.#offline.issue(principal, upstream);
    const bytes = Buffer.from(JSON.stringify(document));
    return { status: 200, contentType: 'application/json', bytes, offline: true };
  }

  #remember(upstream: string, bytes: Uint8Array, principal: Principal): void {
    const { expires_in: life } = parseDocument(bytes);
    for (const token of tokensIn(bytes))
      this.#callers.issued(upstream, token, principal, Math.max(typeof life === 'number' ? life : 0, DEFAULT_LIFE));
  }
}

/** The repositories of an upstream that a space-separated list of scopes names. */
function repositoriesOf(upstream: string, scopes: string): Repository[] {
  const parsed = scopes.split(' ').map(parseScope);
  return parsed.flatMap((scope) =>
    scope?.type === 'repository' && isRepositoryName(scope.name)
      ? [{ root: 'cache', upstream, name: scope.name } as const]
      : [],
  );
}

function tokensIn(bytes: Uint8Array): string[] {
  const { token, access_token: accessToken } = parseDocument(bytes);
  return [token, accessToken].filter((found) => typeof found === 'string').filter((found) => VISIBLE.test(found));
}

function parseDocument(bytes: Uint8Array): Record<string, unknown> {
  try {
    const document: unknown = JSON.parse(Buffer.from(bytes).toString('utf8'));
    return typeof document === 'object' && document !== null ? (document as Record<string, unknown>) : {};
  } catch {
    return {};
  }
}
