import { createHmac } from 'node:crypto';
import type { Credential } from './authorization.ts';

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
  /** The caller came with a token of ours, which no upstream would understand. */
  readonly offline?: boolean;
  /** Epoch milliseconds when the credential ends, where that is known. */
  readonly expires?: number;
  /** On our own names, where there are users: what was shown is right. Without a user, a token that is nobody's. */
  readonly login?: { readonly user?: string };
}

export const ANONYMOUS: Caller = { principal: 'anonymous' };

/** Makes principals: the same credential at the same upstream is the same principal, also after a restart. */
export class Principals {
  readonly #key: Uint8Array;

  constructor(key: Uint8Array) {
    this.#key = key;
  }

  /** The principal behind a credential; without one, nobody in particular. */
  of(upstream: string, credential: Credential | undefined): Principal {
    if (credential === undefined) return 'anonymous';
    const { kind, secret } = credential;
    const hmac = createHmac('sha256', this.#key).update(JSON.stringify([upstream, kind, ...secret]));
    return `credential:${hmac.digest('hex')}`;
  }
}
