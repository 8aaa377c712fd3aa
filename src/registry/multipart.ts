import { randomBytes } from 'node:crypto';
import { type ByteRange, contentRange } from '../oci/range.ts';

/** The frame of a multipart/byteranges body (RFC 9110 §14.6): one part for each range, in order, none merged. */
export interface Multipart {
  readonly contentType: string;
  /** Bytes of the whole body. */
  readonly length: number;
  readonly parts: readonly { readonly head: Uint8Array; readonly range: ByteRange }[];
  readonly tail: Uint8Array;
}

/** Frames `ranges` of a representation of `size` bytes and of type `mediaType`. */
export function multipart(ranges: readonly ByteRange[], size: number, mediaType: string): Multipart {
  const boundary = randomBytes(16).toString('hex');
  const parts = ranges.map((range, index) => {
    const head = `${index === 0 ? '' : '\r\n'}--${boundary}\r\nContent-Type: ${mediaType}\r\nContent-Range: ${contentRange(range, size)}\r\n\r\n`;
    return { head: Buffer.from(head, 'latin1'), range };
  });
  const tail = Buffer.from(`\r\n--${boundary}--\r\n`, 'latin1');
  const length = parts.reduce((sum, { head, range }) => sum + head.length + range.end - range.start, tail.length);
  return { contentType: `multipart/byteranges; boundary=${boundary}`, length, parts, tail };
}
