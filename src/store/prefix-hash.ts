import { type Algorithm, type Digest, Digester } from '../oci/digest.ts';
import type { OpenFile } from './open-file.ts';

const STEP = 1024 * 1024;

/** The running hash of a file from its beginning. */
export class PrefixHash {
  readonly #algorithm: Algorithm;
  #digester: Digester;
  #length = 0;

  constructor(algorithm: Algorithm) {
    this.#algorithm = algorithm;
    this.#digester = new Digester(algorithm);
  }

  /** How many bytes are hashed. */
  get length(): number {
    return this.#length;
  }

  /** The digest of these bytes. */
  get value(): Digest {
    return this.#digester.digest();
  }

  append(bytes: Uint8Array): void {
    this.#digester.update(bytes);
    this.#length += bytes.length;
  }

  /** Reads the next bytes of `file`, at most 1 MiB and none from `limit` on, and appends them. */
  async advance(file: OpenFile, limit: number): Promise<void> {
    const wanted = Math.min(STEP, limit - this.#length);
    if (wanted <= 0) return;
    const buffer = Buffer.allocUnsafe(wanted);
    const count = await file.read(buffer, this.#length);
    if (count !== wanted) throw new Error(`the file ends at byte ${this.#length + count}`);
    this.append(buffer);
  }

  reset(): void {
    this.#digester = new Digester(this.#algorithm);
    this.#length = 0;
  }
}
