import { LRUCache } from 'lru-cache';
import type { Digest } from '../oci/digest.ts';

/** Objects up to this size are served from memory (bytes). */
const MAX_OBJECT = 64 << 10;
/** Bytes. */
const MAX_TOTAL = 32 << 20;
const MAX_EVICTED = 10_000;

/** Small immutable objects in memory: manifests, configurations, small layers. */
export class SmallObjects {
  readonly #objects = new LRUCache<Digest, Uint8Array>({
    maxSize: MAX_TOTAL,
    sizeCalculation: (bytes) => bytes.length + 256,
  });
  readonly #evicted = new LRUCache<Digest, true>({ max: MAX_EVICTED });

  takes(size: number): boolean {
    return size <= MAX_OBJECT;
  }

  get(digest: Digest): Uint8Array | undefined {
    return this.#objects.get(digest);
  }

  set(digest: Digest, bytes: Uint8Array): void {
    if (this.takes(bytes.length)) this.#objects.set(digest, bytes);
  }

  /** Forgets the bytes, and remembers for a while that they were evicted. */
  evict(digest: Digest): void {
    this.#objects.delete(digest);
    this.#evicted.set(digest, true);
  }

  /** Why bytes are missing, told once. */
  missing(digest: Digest): 'evicted' | 'first-time' {
    return this.#evicted.delete(digest) ? 'evicted' : 'first-time';
  }
}
