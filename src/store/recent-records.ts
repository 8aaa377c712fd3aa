/** Milliseconds; also the longest time for which what another process removed is still believed to be there. */
const LIFE = 1000;

/**
 * Records that were there a moment ago. Popular content asks for the same few thousands of times a second, and opening
 * even an empty file costs more than all the rest of a small answer.
 */
export class RecentRecords<T> {
  readonly #records = new Map<string, T>();
  #since = 0;
  /** Counts changes of ours: what was read before one is not remembered after it. */
  #changes = 0;

  /** The record under `key`: remembered, or else what `read` finds. */
  async get(key: string, read: () => Promise<T | undefined>): Promise<T | undefined> {
    const now = performance.now();
    if (now - this.#since > LIFE) {
      this.#records.clear();
      this.#since = now;
    }
    const recent = this.#records.get(key);
    if (recent !== undefined) return recent;
    const changes = this.#changes;
    const record = await read();
    if (record !== undefined && changes === this.#changes) this.#records.set(key, record);
    return record;
  }

  /** To be called when the record under `key` has changed. */
  forget(key: string): void {
    this.#changes += 1;
    this.#records.delete(key);
  }
}
