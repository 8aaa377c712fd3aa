import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGunzip } from 'node:zlib';

const NEWLINE = 10;
/** No line of ours is longer; what stands behind it is dropped, which makes it a damaged one. */
const LONGEST = 256 * 1024;

/** The lines of a text that may be compressed by gzip, many at a time; at most `LONGEST` bytes of each. */
export async function* linesOf(source: AsyncIterable<Buffer>): AsyncGenerator<readonly string[]> {
  let rest: Buffer = Buffer.alloc(0);
  for await (const chunk of decompressed(source)) {
    const end = chunk.lastIndexOf(NEWLINE);
    if (end === -1) {
      if (rest.length < LONGEST) rest = Buffer.concat([rest, chunk]);
      continue;
    }
    const block = Buffer.concat([rest, chunk.subarray(0, end)]);
    rest = Buffer.from(chunk.subarray(end + 1));
    yield block.toString().split('\n');
  }
  if (rest.length > 0) yield [rest.toString()];
}

async function* decompressed(source: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  const chunks = source[Symbol.asyncIterator]();
  const { value: first, done } = await chunks.next();
  if (done === true) return;
  const whole = { [Symbol.asyncIterator]: () => startingWith(first, chunks) };
  if (first[0] !== 0x1f || first[1] !== 0x8b) return yield* whole;
  const gunzip = createGunzip({ chunkSize: 256 * 1024 });
  const feeding = pipeline(Readable.from(whole, { objectMode: false }), gunzip);
  // Its failure is met where the other end is read.
  feeding.catch(() => {});
  yield* gunzip;
}

async function* startingWith(first: Buffer, rest: AsyncIterator<Buffer>): AsyncGenerator<Buffer> {
  yield first;
  yield* { [Symbol.asyncIterator]: () => rest };
}

/** Whether reading broke off since the compressed data is damaged or incomplete. */
export function isDamagedCompression(error: unknown): boolean {
  return error instanceof Error && 'code' in error && String(error.code).startsWith('Z_');
}
