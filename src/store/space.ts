/** A part of the promised space that was set aside for bytes about to be written. It is settled once; later calls do nothing. */
export interface Reservation {
  /** The bytes are on disk and stay, taking `allocated` bytes there; the rest is given back. */
  keep(allocated: number): void;
  /** Nothing was kept: everything is given back. */
  release(): void;
}

export interface ReserveOptions {
  /** How many of the bytes are on disk already and counted: the reservation takes them over. */
  readonly had?: number;
  /** How many of the bytes are on disk by now. */
  readonly written?: () => number;
  readonly signal?: AbortSignal;
}

/** How the disk stands. Bytes, as allocated by the file system. */
export interface SpaceState {
  /** What the cache takes, its partial downloads included; an upper bound while not `trusted`. */
  readonly used: number;
  /** What is set aside for bytes on their way in. */
  readonly reserved: number;
  /** What the cache may take in all at this moment: its configured size, or less where the reserve demands it. */
  readonly limit: number;
  /** Whether `used` was counted, not guessed: while it was not, a {@link Space.recount} may make more room than eviction. */
  readonly trusted: boolean;
}

/** What a store tells of the bytes it allocates. */
export interface Account {
  /** Sets space aside for a small record, for which some is left where blobs find none. Throws a {@link NoSpace}. */
  record(bytes: number): Promise<Reservation>;
  /** So many allocated bytes are not on the disk any more. */
  freed(bytes: number): void;
  /** A write failed; while the disk itself is in trouble, nothing can be reserved. */
  readonly failed: (error: unknown) => void;
}

/** The promise that the cache never exceeds its size and never takes the reserve. */
export interface Space extends Account {
  /**
   * Sets space aside before a byte is written. `undefined` when it does not fit, after eviction was given a moment to
   * make room, or while the disk cannot be written: then nothing must be written.
   */
  reserve(bytes: number, options?: ReserveOptions): Promise<Reservation | undefined>;
  state(): SpaceState;
  /**
   * `evict` is called, never twice at a time, when space runs low; it resolves when it has done what it can. `wanted`
   * bytes are waited for: they fit once `used + reserved + wanted` is a little less than `limit`; 0 in the background.
   */
  onPressure(evict: (wanted: number) => Promise<void>): void;
  /** Makes the figure a trusted one: what `walk` counts, and what changed meanwhile. See `countAllocated`. */
  recount(walk: () => Promise<number>): Promise<void>;
}

/** There is no room for a record. */
export class NoSpace extends Error {
  override readonly name = 'NoSpace';
}

/** The account of a store without a limit. */
export const UNLIMITED: Account = {
  record: async () => ({ keep: () => {}, release: () => {} }),
  freed: () => {},
  failed: () => {},
};

/** Bytes that file systems allocate at least, and in multiples of which they do. */
export const BLOCK = 4096;

/** What a file or a directory's entry of `bytes` takes at most. */
export function toBlocks(bytes: number): number {
  return Math.ceil(bytes / BLOCK) * BLOCK;
}
