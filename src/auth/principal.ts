/** Who asks: nobody in particular, or somebody known only by an HMAC of the credential. */
export type Principal = 'anonymous' | `credential:${string}`;

/** A principal with what it brought along. */
export interface Caller {
  readonly principal: Principal;
  /**
   * The Authorization header to pass on to the upstream that issued it. Absent for anonymous callers, on our own
   * names, and for tokens of our own making.
   */
  readonly authorization?: string;
  /** The caller came with a token that we issued while the upstream was unreachable. */
  readonly offline?: boolean;
}

export const ANONYMOUS: Caller = { principal: 'anonymous' };
