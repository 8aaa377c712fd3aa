/** A part of the promised space that was set aside for bytes about to be written. It is settled once. */
export interface Reservation {
  /** The bytes are on disk and stay, taking `allocated` bytes there; the rest is given back. */
  keep(allocated: number): void;
  /** Nothing was kept: everything is given back. */
  release(): void;
}

/** How the disk stands. Bytes, as allocated by the file system. */
export interface SpaceState {
  /** What the cache takes, its partial downloads included; an upper bound while not `trusted`. */
  readonly used: number;
  /** What is set aside for bytes on their way in. */
  readonly reserved: number;
  /** What the cache may take in all at this moment: its configured size, or less where the reserve demands it. */
  readonly limit: number;
  /** Whether `used` was counted, not guessed from the file system's own figure. */
  readonly trusted: boolean;
}

/** The promise that the cache never exceeds its size and never takes the reserve. */
export interface Space {
  /**
   * Sets space aside before a byte is written. `undefined` when it does not fit, after eviction was given a moment to
   * make room: then nothing must be written.
   */
  reserve(bytes: number, signal?: AbortSignal): Promise<Reservation | undefined>;
  state(): SpaceState;
  /** `evict` is called, never twice at a time, when space runs low; it resolves when it has done what it can. */
  onPressure(evict: () => Promise<void>): void;
}
