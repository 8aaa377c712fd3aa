import { jwtVerify, SignJWT } from 'jose';
import type { Principal } from './principal.ts';

const ISSUER = 'layover';
const TYPE = 'layover-offline+jwt';
/** Seconds. Short, since such a token stands in for one that the upstream would renew. */
const LIFE = 300;

/**
 * Tokens of our own, for the time in which an upstream's token service cannot be reached. They say who asked, open
 * nothing by themselves, and are never sent upstream.
 */
export class OfflineTokens {
  readonly #key: Uint8Array;

  constructor(key: Uint8Array) {
    this.#key = key;
  }

  /** The token document of the distribution token protocol (docs/spec/auth/token.md). */
  async issue(principal: Principal, upstream: string): Promise<Record<string, string | number>> {
    const now = new Date();
    const token = await new SignJWT({ principal })
      .setProtectedHeader({ alg: 'HS256', typ: TYPE })
      .setIssuer(ISSUER)
      .setAudience(upstream)
      .setIssuedAt(now)
      .setExpirationTime(new Date(now.getTime() + LIFE * 1000))
      .sign(this.#key);
    return { token, access_token: token, expires_in: LIFE, issued_at: now.toISOString() };
  }

  /** Who the token was issued to; `undefined` when it is not ours, not for this upstream, or over. */
  async verify(token: string, upstream: string): Promise<Principal | undefined> {
    if (!looksLikeOurs(token)) return undefined;
    try {
      const { payload } = await jwtVerify(token, this.#key, {
        algorithms: ['HS256'],
        typ: TYPE,
        issuer: ISSUER,
        audience: upstream,
      });
      return payload.principal as Principal;
    } catch {
      return undefined;
    }
  }
}

const OUR_HEADER = Buffer.from(JSON.stringify({ alg: 'HS256', typ: TYPE })).toString('base64url');

/** Spares the tokens of others, which are long and many, a verification that can only fail. */
function looksLikeOurs(token: string): boolean {
  return token.startsWith(`${OUR_HEADER}.`);
}
