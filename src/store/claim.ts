import type { Digest } from '../oci/digest.ts';

/** The right to do an exclusive thing (fill a digest, append to an upload) while it is kept alive. */
export interface Claim extends AsyncDisposable {
  /** Says that the holder still makes progress. */
  progress(): void;
  release(): Promise<void>;
  /** Aborted when somebody else took the claim over. */
  readonly lost: AbortSignal;
}

export interface Claims {
  /** The claim on `name`, or `undefined` while another holder is alive. Names are as backend keys. */
  acquire(name: string): Promise<Claim | undefined>;
}

/** Milliseconds without progress after which a claim can be taken over although its holder may be alive. */
export const STALE_AFTER = 10_000;

/** The name of the claim under which a digest is filled. */
export function fillClaim(digest: Digest): string {
  return `fills/${digest.replace(':', '-')}`;
}
