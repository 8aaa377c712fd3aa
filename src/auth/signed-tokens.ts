const ISSUER = 'layover';
/** Seconds. Short, since such a token is renewed by whoever still may have one. */
const LIFE = 300;

/** Tokens of our own making, signed, of one type: they say what was known when they were made, and open nothing by themselves. */
export class SignedTokens {
  readonly #key: Uint8Array;
  readonly #type: string;
  readonly #now: () => number;

  /** `now`: epoch milliseconds. */
  constructor(key: Uint8Array, type: string, now: () => number = Date.now) {
    this.#key = key;
    this.#type = type;
    this.#now = now;
  }

  /** The token document of the distribution token protocol (docs/spec/auth/token.md). */
  async issue(
    claims: Readonly<Record<string, string>>,
    audience: string,
  ): Promise<Readonly<Record<string, string | number>>> {
    const now = new Date(this.#now());
    const { SignJWT } = await import('jose');
    const token = await new SignJWT(claims)
      .setProtectedHeader({ alg: 'HS256', typ: this.#type })
      .setIssuer(ISSUER)
      .setAudience(audience)
      .setIssuedAt(now)
      .setExpirationTime(new Date(now.getTime() + LIFE * 1000))
      .sign(this.#key);
    return { token, access_token: token, expires_in: LIFE, issued_at: now.toISOString() };
  }

  /** The claims of a token; `undefined` when it is not ours, not for this audience, or over. */
  async verify(token: string, audience: string): Promise<Readonly<Record<string, unknown>> | undefined> {
    const { jwtVerify } = await import('jose');
    try {
      const { payload } = await jwtVerify(token, this.#key, {
        algorithms: ['HS256'],
        typ: this.#type,
        issuer: ISSUER,
        audience,
        currentDate: new Date(this.#now()),
      });
      return payload;
    } catch {
      return undefined;
    }
  }
}
