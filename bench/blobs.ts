import { createHash, hash, randomBytes } from 'node:crypto';

/** What the upstream holds under a digest. */
export interface Blob {
  /** Bytes. */
  readonly size: number;
  readonly digest: string;
  /** What comes at `position`: at least a byte, at most `limit`. */
  at(position: number, limit: number): Buffer;
}

export function textBlob(text: string): Blob {
  const bytes = Buffer.from(text);
  const digest = `sha256:${hash('sha256', bytes)}`;
  return { size: bytes.length, digest, at: (position, limit) => bytes.subarray(position, position + limit) };
}

const HEAD = 64;
const BODY = randomBytes(4 << 20);

/** Bytes that do not compress, told apart by their first ones: any number of large blobs that nobody holds in memory. */
export class SeededBlob implements Blob {
  readonly size: number;
  readonly digest: string;
  readonly #head: Buffer;

  constructor(seed: string, size: number) {
    this.size = size;
    this.#head = hash('sha512', seed, 'buffer').subarray(0, Math.min(HEAD, size));
    const running = createHash('sha256');
    for (const piece of this.pieces()) running.update(piece);
    this.digest = `sha256:${running.digest('hex')}`;
  }

  at(position: number, limit: number): Buffer {
    const end = Math.min(this.size, position + limit);
    if (position < this.#head.length) return this.#head.subarray(position, end);
    const start = position % BODY.length;
    return BODY.subarray(start, start + end - position);
  }

  *pieces(step: number = 1 << 20): Generator<Buffer> {
    for (let at = 0; at < this.size; ) {
      const piece = this.at(at, step);
      at += piece.length;
      yield piece;
    }
  }
}
