import { type Claim, type Claims, type Holding, STALE_AFTER } from '../../src/store/claim.ts';
import { assertKey } from '../../src/store/key.ts';

/** Claims among the users of one instance. */
export class MemoryClaims implements Claims {
  readonly #held = new Map<string, MemoryClaim>();
  readonly #staleAfter: number;

  constructor(options: { readonly staleAfter?: number } = {}) {
    this.#staleAfter = options.staleAfter ?? STALE_AFTER;
  }

  async acquire(name: string): Promise<Claim | undefined> {
    assertKey(name);
    const holder = this.#held.get(name);
    if (holder !== undefined && holder.idle() <= this.#staleAfter) return undefined;
    holder?.lose();
    const claim = new MemoryClaim(holder?.noted, () => {
      if (this.#held.get(name) === claim) this.#held.delete(name);
    });
    this.#held.set(name, claim);
    return claim;
  }

  async holding(name: string): Promise<Holding | undefined> {
    assertKey(name);
    const claim = this.#held.get(name);
    if (claim === undefined) return undefined;
    return {
      look: async () => ({
        note: claim.noted,
        isOver: this.#held.get(name) !== claim || claim.idle() > this.#staleAfter,
      }),
      [Symbol.asyncDispose]: async () => undefined,
    };
  }
}

class MemoryClaim implements Claim {
  readonly #lost = new AbortController();
  readonly #onRelease: () => void;
  readonly left: Uint8Array | undefined;
  noted: Uint8Array | undefined;
  #last = performance.now();

  constructor(left: Uint8Array | undefined, onRelease: () => void) {
    this.left = left;
    this.#onRelease = onRelease;
  }

  get lost(): AbortSignal {
    return this.#lost.signal;
  }

  idle(): number {
    return performance.now() - this.#last;
  }

  lose(): void {
    this.#lost.abort();
  }

  progress(): void {
    this.#last = performance.now();
  }

  async note(note: Uint8Array): Promise<void> {
    if (!this.isHeld()) return;
    this.noted = note.slice();
    this.progress();
  }

  isHeld(): boolean {
    return !this.lost.aborted;
  }

  async release(): Promise<void> {
    this.#onRelease();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.release();
  }
}
