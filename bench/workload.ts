import type { Field } from './field.ts';
import type { Measures, Row } from './measures.ts';

/** One round of one workload. */
export interface Turn {
  readonly field: Field;
  readonly measures: Measures;
  /** From 0. */
  readonly round: number;
  /** Milliseconds for which a server is pressed. */
  readonly time: number;
  readonly isQuick: boolean;
}

/** What is done to the servers, and the rows that come of it. */
export interface Workload {
  readonly name: string;
  readonly about: string;
  readonly rows: readonly Row[];
  /** Part of the short form. */
  readonly isQuick?: boolean;
  /** At most so many rounds, where one takes long. */
  readonly rounds?: number;
  /** Why it cannot be done on this machine. */
  cannot?(): Promise<string | undefined>;
  measure(turn: Turn): Promise<void>;
}
