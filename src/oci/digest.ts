import { createHash, type Hash } from 'node:crypto';

/** The registered digest algorithms this project verifies (OCI image-spec, descriptor.md#registered-algorithms). */
export type Algorithm = 'sha256' | 'sha512';

/** A canonical digest: registered algorithm, lower-case hex of the exact length. Safe as a file name part and a map key. */
export type Digest = `${Algorithm}:${string}`;

const CANONICAL = /^(?:sha256:[a-f0-9]{64}|sha512:[a-f0-9]{128})$/;
const GRAMMAR = /^[a-z0-9]+(?:[+._-][a-z0-9]+)*:[a-zA-Z0-9=_-]+$/;

/** The digest that `text` spells, or `undefined` when it is malformed or of an algorithm we cannot verify. */
export function parseDigest(text: string): Digest | undefined {
  return CANONICAL.test(text) ? (text as Digest) : undefined;
}

/** Whether `text` follows the digest grammar of the image-spec, of any algorithm; such a reference is never a tag. */
export function isDigestShaped(text: string): boolean {
  return text.length <= 512 && GRAMMAR.test(text);
}

export function algorithmOf(digest: Digest): Algorithm {
  return digest.startsWith('sha256:') ? 'sha256' : 'sha512';
}

/** The hex part of a digest. */
export function encodedOf(digest: Digest): string {
  return digest.slice(digest.indexOf(':') + 1);
}

/** A running hash that ends in a {@link Digest}. */
export class Digester {
  readonly #algorithm: Algorithm;
  #hash: Hash;

  constructor(algorithm: Algorithm) {
    this.#algorithm = algorithm;
    this.#hash = createHash(algorithm);
  }

  update(bytes: Uint8Array): void {
    this.#hash.update(bytes);
  }

  /** The digest of everything so far; the digester can be fed further. */
  digest(): Digest {
    return `${this.#algorithm}:${this.#hash.copy().digest('hex')}`;
  }
}

export function digestOf(bytes: Uint8Array, algorithm: Algorithm = 'sha256'): Digest {
  const digester = new Digester(algorithm);
  digester.update(bytes);
  return digester.digest();
}
