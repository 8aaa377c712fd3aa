import type { Principal } from './principal.ts';

const ISSUER = 'layover';
const TYPE = 'layover-offline+jwt';
/** Seconds. Short, since such a token stands in for one that the upstream would renew. */
const LIFE = 300;

/**
 * Tokens of our own, for the time in which an upstream's token service cannot be reached, and for what needs none.
 * They say who asked, open nothing by themselves, and are never sent upstream.
 */
export class OfflineTokens {
  readonly #key: Uint8Array;
  readonly #now: () => number;

  /** `now`: epoch milliseconds. */
  constructor(key: Uint8Array, now: () => number = Date.now) {
    this.#key = key;
    this.#now = now;
  }

  /** The token document of the distribution token protocol (docs/spec/auth/token.md). */
  async issue(principal: Principal, upstream: string): Promise<Record<string, string | number>> {
    const now = new Date(this.#now());
    const { SignJWT } = await import('jose');
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
    const { jwtVerify } = await import('jose');
    try {
      const { payload } = await jwtVerify(token, this.#key, {
        algorithms: ['HS256'],
        typ: TYPE,
        issuer: ISSUER,
        audience: upstream,
        currentDate: new Date(this.#now()),
      });
      return payload.principal as Principal;
    } catch {
      return undefined;
    }
  }
}

const OUR_HEADER = Buffer.from(JSON.stringify({ alg: 'HS256', typ: TYPE })).toString('base64url');

/** Whether a token was made here, by its form alone: it may be over, for another upstream, or forged. */
export function isOurs(token: string): boolean {
  return token.startsWith(`${OUR_HEADER}.`);
}
