import { type Credential, parseAuthorization } from './authorization.ts';
import type { OfflineTokens } from './offline-tokens.ts';
import { ANONYMOUS, type Caller, type Principal, type Principals } from './principal.ts';

const MAX_TOKENS = 20_000;

/**
 * Tells who a request comes from. A token that an upstream issued through us belongs to whoever asked for it, so
 * that a client whose token changes every five minutes stays one principal; a token we never saw is its own.
 */
export class Callers {
  readonly #principals: Principals;
  readonly #offline: OfflineTokens;
  /** By principal of the bare token; oldest first. */
  readonly #issued = new Map<Principal, { readonly principal: Principal; readonly expires: number }>();

  constructor(principals: Principals, offline: OfflineTokens) {
    this.#principals = principals;
    this.#offline = offline;
  }

  async identify(authorization: string | undefined, upstream: string): Promise<Caller> {
    if (authorization === undefined) return ANONYMOUS;
    const credential = parseAuthorization(authorization);
    if (credential === undefined) return ANONYMOUS;
    if (credential.kind !== 'bearer') return { principal: this.principalOf(credential, upstream), authorization };
    const own = await this.#offline.verify(credential.token, upstream);
    if (own !== undefined) return { principal: own, offline: true };
    const bare = this.#principals.ofBearer(upstream, credential.token);
    const issued = this.#issued.get(bare);
    return issued === undefined ? { principal: bare, authorization } : { ...issued, authorization };
  }

  /** The principal behind a credential; without one, nobody in particular. */
  principalOf(credential: Credential | undefined, upstream: string): Principal {
    switch (credential?.kind) {
      case undefined:
        return 'anonymous';
      case 'password':
        return this.#principals.ofPassword(upstream, credential.username, credential.password);
      case 'refresh':
        return this.#principals.ofRefreshToken(upstream, credential.token);
      case 'bearer':
        return this.#principals.ofBearer(upstream, credential.token);
    }
  }

  /** Remembers that an upstream gave `token` to `principal` for `life` seconds. */
  issued(upstream: string, token: string, principal: Principal, life: number): void {
    const bare = this.#principals.ofBearer(upstream, token);
    this.#issued.delete(bare);
    this.#issued.set(bare, { principal, expires: Date.now() + life * 1000 });
    for (const oldest of this.#issued.keys()) {
      if (this.#issued.size <= MAX_TOKENS) break;
      this.#issued.delete(oldest);
    }
  }
}
