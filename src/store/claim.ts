import type { Digest } from '../oci/digest.ts';

/** The right to do an exclusive thing (fill a digest, append to an upload) while it is kept alive. */
export interface Claim extends AsyncDisposable {
  /** Says that the holder still makes progress. */
  progress(): void;
  /** Leaves a few words for whoever looks at the claim, or takes it over; it is progress, too. */
  note(note: Uint8Array): Promise<void>;
  /** What the one had noted from whom this was taken over. */
  readonly left: Uint8Array | undefined;
  /** Whether nobody took it over so far. */
  isHeld(): boolean;
  release(): Promise<void>;
  /** Aborted when somebody else took the claim over. */
  readonly lost: AbortSignal;
}

/** A claim in somebody else's hands. */
export interface Holding extends AsyncDisposable {
  /**
   * What its holder noted last, which may be half-written, and whether it is over, by release or for want of progress:
   * then nothing more is noted.
   */
  look(): Promise<{ readonly note: Uint8Array | undefined; readonly isOver: boolean }>;
}

export interface Claims {
  /** The claim on `name`, or `undefined` while another holder is alive. Names are as backend keys. */
  acquire(name: string): Promise<Claim | undefined>;
  /** Whoever has the claim on `name`. */
  holding(name: string): Promise<Holding | undefined>;
}

/** Milliseconds without progress after which a claim can be taken over although its holder may be alive. */
export const STALE_AFTER = 10_000;

/** The name of the claim under which a digest is filled. */
export function fillClaim(digest: Digest): string {
  return `fills/${digest.replace(':', '-')}`;
}
