import { type Content, concat, fromBytes } from './content.ts';

const BLOCK = 512;

export interface TarEntry {
  /** Relative path; one that ends in `/` is a directory. */
  readonly path: string;
  readonly content?: Content;
}

/** A tar archive (POSIX.1-1988 ustar) with fixed owners and times, so that the same entries give the same bytes. */
export function tar(entries: readonly TarEntry[]): Content {
  const parts = entries.flatMap(({ path, content = fromBytes('') }) => [
    fromBytes(header(path, content.size)),
    content,
    fromBytes(Buffer.alloc((BLOCK - (content.size % BLOCK)) % BLOCK)),
  ]);
  return concat([...parts, fromBytes(Buffer.alloc(2 * BLOCK))]);
}

function header(path: string, size: number): Buffer {
  const directory = path.endsWith('/');
  const block = Buffer.alloc(BLOCK);
  block.write(path, 0, 100);
  block.write(octal(directory ? 0o755 : 0o644, 7), 100);
  block.write(octal(0, 7), 108);
  block.write(octal(0, 7), 116);
  block.write(octal(size, 11), 124);
  block.write(octal(0, 11), 136);
  block.write('        ', 148);
  block.write(directory ? '5' : '0', 156);
  block.write('ustar\x0000', 257);
  const checksum = block.reduce((sum, byte) => sum + byte, 0);
  block.write(`${octal(checksum, 6)}\0 `, 148);
  return block;
}

function octal(value: number, width: number): string {
  return value.toString(8).padStart(width, '0');
}
