import type { SpoolFile } from '../store/spool-file.ts';

/** Where a fill's bytes are kept: publishes a finished file, begins anew with an empty one, is told what happens. */
export interface Keeper {
  readonly file: SpoolFile;
  commit(): Promise<void>;
  renew(): Promise<SpoolFile>;
  progress(): void;
  /** Saves what is there for a later life of the process. */
  checkpoint(): Promise<void>;
  /** All bytes are right, or none will be kept. */
  tell(state: 'verified' | 'detached'): void;
  /** A write failed. */
  failed(error: unknown): void;
}
