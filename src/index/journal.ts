import type { ContentEvent } from '../events.ts';

/** What is new about one digest since the index last heard of it. */
export interface Entry {
  readonly digest: string;
  /** Whether its bytes are here; absent when nothing changed about that. */
  present?: boolean;
  /** Bytes. */
  size?: number;
  /** What it names, for manifests. */
  children?: readonly string[];
  /** Namespaced repositories that it was seen in. */
  readonly repositories: Set<string>;
  /** Rises with every use; 0 when it was not used. */
  turn: number;
}

/** Gathers what happens to content, one entry for each digest however often it is used. */
export class Journal {
  #entries = new Map<string, Entry>();
  #turn = 0;

  get size(): number {
    return this.#entries.size;
  }

  note({ phase, digest, repository, size, children }: ContentEvent): void {
    const entry = this.#entries.get(digest) ?? { digest, repositories: new Set(), turn: 0 };
    if (entry.repositories.size === 0 && entry.turn === 0) this.#entries.set(digest, entry);
    if (phase === 'removed') {
      entry.present = false;
      return;
    }
    if (phase === 'stored') {
      entry.present = true;
      if (size !== undefined) entry.size = size;
      if (children !== undefined) entry.children = children;
    }
    this.#turn += 1;
    entry.turn = this.#turn;
    if (repository !== undefined) entry.repositories.add(repository);
  }

  /** Everything so far, what was used last at the end; afterwards the journal is empty. */
  take(): readonly Entry[] {
    const entries = [...this.#entries.values()].sort((one, other) => one.turn - other.turn);
    this.#entries = new Map();
    this.#turn = 0;
    return entries;
  }
}
