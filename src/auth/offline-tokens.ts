import type { Principal } from './principal.ts';
import { SignedTokens } from './signed-tokens.ts';

const TYPE = 'layover-offline+jwt';

/**
 * Tokens of our own, for the time in which an upstream's token service cannot be reached, and for what needs none.
 * They say who asked, open nothing by themselves, and are never sent upstream.
 */
export class OfflineTokens {
  readonly #tokens: SignedTokens;

  /** `now`: epoch milliseconds. */
  constructor(key: Uint8Array, now: () => number = Date.now) {
    this.#tokens = new SignedTokens(key, TYPE, now);
  }

  /** The token document of the distribution token protocol (docs/spec/auth/token.md). */
  issue(principal: Principal, upstream: string): Promise<Readonly<Record<string, string | number>>> {
    return this.#tokens.issue({ principal }, upstream);
  }

  /** Who the token was issued to; `undefined` when it is not ours, not for this upstream, or over. */
  async verify(token: string, upstream: string): Promise<Principal | undefined> {
    return (await this.#tokens.verify(token, upstream))?.principal as Principal | undefined;
  }
}

const OUR_HEADER = Buffer.from(JSON.stringify({ alg: 'HS256', typ: TYPE })).toString('base64url');

/** Whether a token was made here, by its form alone: it may be over, for another upstream, or forged. */
export function isOurs(token: string): boolean {
  return token.startsWith(`${OUR_HEADER}.`);
}
