import { type Claim, type Claims, STALE_AFTER } from '../../src/store/claim.ts';
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
    const claim = new MemoryClaim(() => {
      if (this.#held.get(name) === claim) this.#held.delete(name);
    });
    this.#held.set(name, claim);
    return claim;
  }
}

class MemoryClaim implements Claim {
  readonly #lost = new AbortController();
  readonly #onRelease: () => void;
  #last = performance.now();

  constructor(onRelease: () => void) {
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

  async release(): Promise<void> {
    this.#onRelease();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.release();
  }
}
