/** Lets any number of readers wait for the next change. */
export class Changes {
  readonly #waiting = new Set<() => void>();

  announce(): void {
    for (const changed of this.#waiting) changed();
  }

  /** Resolves at the next change, or when the signal is aborted. */
  async next(signal: AbortSignal): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const changed = (): void => resolve();
    this.#waiting.add(changed);
    signal.addEventListener('abort', changed, { once: true });
    await promise;
    signal.removeEventListener('abort', changed);
    this.#waiting.delete(changed);
  }
}
