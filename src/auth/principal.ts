import { createHmac } from 'node:crypto';

/** Who asks: nobody in particular, or somebody known only by an HMAC of the credential. */
export type Principal = 'anonymous' | `credential:${string}`;

/** A principal with what it brought along. */
export interface Caller {
  readonly principal: Principal;
  /**
   * The Authorization header to pass on to the upstream that issued it. Absent for callers that sent none, on our
   * own names, and for tokens of our own making.
   */
  readonly authorization?: string;
  /** The caller came with a token that we issued while the upstream's token service was out of reach. */
  readonly offline?: boolean;
  /** Epoch milliseconds when the credential ends, where that is known. */
  readonly expires?: number;
}

export const ANONYMOUS: Caller = { principal: 'anonymous' };

/** Makes principals: the same credential at the same upstream is the same principal, also after a restart. */
export class Principals {
  readonly #key: Uint8Array;

  constructor(key: Uint8Array) {
    this.#key = key;
  }

  /** Of a user name and a password, whether they came as Basic or in a token request's form. */
  ofPassword(upstream: string, username: string, password: string): Principal {
    return this.#of(upstream, 'password', `${username}:${password}`);
  }

  ofRefreshToken(upstream: string, token: string): Principal {
    return this.#of(upstream, 'refresh', token);
  }

  ofBearer(upstream: string, token: string): Principal {
    return this.#of(upstream, 'bearer', token);
  }

  #of(upstream: string, kind: string, secret: string): Principal {
    const hmac = createHmac('sha256', this.#key).update(`${upstream}\0${kind}\0${secret}`).digest('hex');
    return `credential:${hmac}`;
  }
}
