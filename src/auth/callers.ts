import { type Credential, parseAuthorization } from './authorization.ts';
import { isOurs, type OfflineTokens } from './offline-tokens.ts';
import { ANONYMOUS, type Caller, type Principal, type Principals } from './principal.ts';
import { Recent } from './recent.ts';

const REMEMBERED = 20_000;

/**
 * Tells who a request comes from. A token that an upstream issued through us belongs to whoever asked for it, so
 * that a client whose token changes every five minutes stays one principal; a token we never saw, one that is over
 * and one that several were given speak for themselves alone.
 */
export class Callers {
  readonly #principals: Principals;
  readonly #offline: OfflineTokens;
  readonly #now: () => number;
  /** By principal of the bare token. */
  readonly #issued = new Recent<{ readonly principal: Principal; readonly expires: number }>(REMEMBERED);

  /** `now`: epoch milliseconds. */
  constructor(principals: Principals, offline: OfflineTokens, now: () => number = Date.now) {
    this.#principals = principals;
    this.#offline = offline;
    this.#now = now;
  }

  async identify(authorization: string | undefined, upstream: string): Promise<Caller> {
    if (authorization === undefined) return ANONYMOUS;
    const credential = parseAuthorization(authorization);
    const bare = this.principalOf(credential, upstream);
    const [token = ''] = credential.secret;
    if (credential.kind !== 'bearer') return { principal: bare, authorization };
    if (isOurs(token)) {
      const principal = await this.#offline.verify(token, upstream);
      return principal === undefined ? ANONYMOUS : { principal, offline: true };
    }
    const issued = this.#issued.get(bare);
    const isKnown = issued !== undefined && issued.expires > this.#now();
    return isKnown ? { ...issued, authorization } : { principal: bare, authorization };
  }

  /** The principal behind a credential; without one, nobody in particular. */
  principalOf(credential: Credential | undefined, upstream: string): Principal {
    return this.#principals.of(upstream, credential);
  }

  /** Remembers that an upstream gave `token` to `principal` for `life` seconds. */
  issued(upstream: string, token: string, principal: Principal, life: number): void {
    const bare = this.principalOf({ kind: 'bearer', secret: [token] }, upstream);
    const before = this.#issued.get(bare)?.principal ?? principal;
    const expires = this.#now() + life * 1000;
    this.#issued.set(bare, { principal: before === principal ? principal : bare, expires });
  }
}
