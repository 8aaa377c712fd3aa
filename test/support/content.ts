import { createCipheriv, createHash, hash } from 'node:crypto';
import { crc32 } from 'node:zlib';

/** Bytes addressed by position: a buffer, or gigabytes that nobody holds in memory. */
export interface Content {
  /** Bytes. */
  readonly size: number;
  /** The bytes from `start` up to, not including, `end`; both within the size. */
  read(start: number, end: number): Buffer;
}

/** A blob: its content and the digest that names it. */
export interface Blob {
  readonly digest: string;
  readonly content: Content;
}

const STEP = 256 * 1024;

export function fromBytes(bytes: Uint8Array | string): Content {
  const buffer = Buffer.from(bytes as Uint8Array);
  return { size: buffer.length, read: (start, end) => buffer.subarray(start, end) };
}

/** Incompressible bytes, the same for the same seed: a cipher stream that can be entered at any position. */
export function generated(seed: string, size: number): Content {
  const key = hash('sha256', seed, 'buffer').subarray(0, 16);
  return {
    size,
    read(start, end) {
      const counter = Buffer.alloc(16);
      counter.writeBigUInt64BE(BigInt(Math.floor(start / 16)), 8);
      const cipher = createCipheriv('aes-128-ctr', key, counter);
      cipher.update(Buffer.alloc(start % 16));
      return cipher.update(Buffer.alloc(end - start));
    },
  };
}

/** Contents one after the other; finds its parts by bisection, so that a read costs the same anywhere. */
export function concat(parts: readonly Content[]): Content {
  const starts: number[] = [];
  let size = 0;
  for (const part of parts) {
    starts.push(size);
    size += part.size;
  }
  return {
    size,
    read(start, end) {
      const found: Buffer[] = [];
      for (let index = lastAtOrBefore(starts, start); index < parts.length; index++) {
        const [part, at] = [parts[index], starts[index]];
        if (part === undefined || at === undefined || at >= end) break;
        const [from, to] = [Math.max(start - at, 0), Math.min(end - at, part.size)];
        if (from < to) found.push(part.read(from, to));
      }
      const [only] = found;
      return found.length === 1 && only !== undefined ? only : Buffer.concat(found);
    },
  };
}

function lastAtOrBefore(starts: readonly number[], position: number): number {
  let [low, high] = [0, starts.length];
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if ((starts[middle] ?? 0) <= position) low = middle;
    else high = middle;
  }
  return low;
}

/** The same content with one byte changed: right length, wrong digest. */
export function corrupted(content: Content, at: number): Content {
  return {
    size: content.size,
    read(start, end) {
      const bytes = Buffer.from(content.read(start, end));
      if (at >= start && at < end) bytes[at - start] = (bytes[at - start] ?? 0) ^ 0xff;
      return bytes;
    },
  };
}

/** The bytes from `start` up to `end` as content of their own. */
export function slice(content: Content, start: number, end: number): Content {
  return { size: end - start, read: (from, to) => content.read(start + from, start + to) };
}

const GZIP_HEAD = Buffer.from([0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255]);
const STORED_MAX = 65535;

/** A real gzip file of stored blocks (RFC 1951 §3.2.4): nothing to compress, so any position can be computed. */
export function gzipped(content: Content): Content {
  const parts: Content[] = [fromBytes(GZIP_HEAD)];
  for (let at = 0; at < content.size || at === 0; at += STORED_MAX) {
    const length = Math.min(STORED_MAX, content.size - at);
    const head = Buffer.alloc(5);
    head.writeUInt8(at + length >= content.size ? 1 : 0, 0);
    head.writeUInt16LE(length, 1);
    head.writeUInt16LE(length ^ 0xffff, 3);
    parts.push(fromBytes(head), slice(content, at, at + length));
  }
  const tail = Buffer.alloc(8);
  let checksum = 0;
  for (const bytes of pieces(content)) checksum = crc32(bytes, checksum);
  tail.writeUInt32LE(checksum, 0);
  tail.writeUInt32LE(content.size % 2 ** 32, 4);
  return concat([...parts, fromBytes(tail)]);
}

/** The content in pieces of 256 KiB. */
export function* pieces(content: Content, step: number = STEP): Generator<Buffer> {
  for (let at = 0; at < content.size; at += step) yield content.read(at, Math.min(content.size, at + step));
}

export function digestOf(content: Content, algorithm: string = 'sha256'): string {
  const running = createHash(algorithm);
  for (const bytes of pieces(content)) running.update(bytes);
  return `${algorithm}:${running.digest('hex')}`;
}

/** All of it in memory; for small content. */
export function toBytes(content: Content): Buffer {
  return content.read(0, content.size);
}

/** An incompressible blob of exactly `size` bytes. */
export function makeBlob(seed: string, size: number, algorithm: string = 'sha256'): Blob {
  const content = generated(seed, size);
  return { digest: digestOf(content, algorithm), content };
}
