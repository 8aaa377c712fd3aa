import type { Digest } from '../oci/digest.ts';
import type { CatalogEntry } from './catalog.ts';
import type { Kept } from './database.ts';
import type { Inventory } from './inventory.ts';
import type { Entry } from './journal.ts';

/** Where the index and what it is about are. Absolute paths. */
export interface Setting {
  readonly file: string;
  readonly cache: string;
  /** Where processes that share the index claim what one of them does for all. */
  readonly claims?: string | undefined;
}

/** What the thread with the database can be asked, and what it answers. */
export interface Answers {
  /** Takes news in. */
  readonly news: { readonly question: { readonly entries: readonly Entry[] }; readonly answer: undefined };
  /** Reads all files again; resolves when that is done. */
  readonly rebuild: { readonly question: Readonly<Record<never, never>>; readonly answer: undefined };
  readonly repositories: { readonly question: Readonly<Record<never, never>>; readonly answer: readonly string[] };
  readonly catalog: { readonly question: { readonly limit: number }; readonly answer: readonly CatalogEntry[] };
  /** Nothing while not all files have been read. */
  readonly inventory: { readonly question: { readonly kept: Kept }; readonly answer: Inventory | undefined };
  readonly digests: { readonly question: { readonly ids: readonly number[] }; readonly answer: readonly Digest[] };
  readonly close: { readonly question: Readonly<Record<never, never>>; readonly answer: undefined };
}

export type Ask = keyof Answers;
export type Question = { [Kind in Ask]: { readonly kind: Kind } & Answers[Kind]['question'] }[Ask];

/** What it tells by itself. */
export type Report = { readonly state: IndexState } | { readonly trouble: string; readonly error: unknown };

/** `building`: not all files have been read yet. */
export type IndexState = 'absent' | 'building' | 'ready';
