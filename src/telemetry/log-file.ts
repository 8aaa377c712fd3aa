import { appendFile, closeSync, fstatSync, mkdirSync, openSync, renameSync, rmSync } from 'node:fs';
import { dirname } from 'node:path';
import { promisify } from 'node:util';
import { publish } from '../events.ts';

/** When a file is moved away and how many of those are kept, as `<file>.1` (the youngest) to `<file>.<keep>`. */
export interface Rotation {
  /** Bytes; 0: never. */
  readonly maxSize: number;
  readonly keep: number;
}

/** Where lines end up. */
export interface Sink {
  append(lines: string): Promise<void>;
  close(): void;
}

const FILE_MODE = 0o640;
const append = promisify<number, string>(appendFile);

/** A file that is appended to and rotated before it would grow over its size. Throws when it cannot be opened. */
export function openLogFile(file: string, { maxSize, keep }: Rotation): Sink {
  let { fd, size } = open(file);
  let isClosed = false;
  const rotate = (): void => {
    // Where this fails, the old file is written on for as long again.
    size = 0;
    try {
      shift(file, keep);
      const next = open(file);
      closeSync(fd);
      ({ fd, size } = next);
    } catch (error) {
      publish('notice', { level: 'warn', message: 'the access log cannot be rotated', fields: { file }, error });
    }
  };
  return {
    async append(lines) {
      if (isClosed) throw new Error(`${file} is closed`);
      const length = Buffer.byteLength(lines);
      if (maxSize > 0 && size > 0 && size + length > maxSize) rotate();
      await append(fd, lines);
      size += length;
    },
    // The number of a closed descriptor may already be another file: it is closed once.
    close() {
      if (!isClosed) closeSync(fd);
      isClosed = true;
    },
  };
}

function open(file: string): { readonly fd: number; readonly size: number } {
  mkdirSync(dirname(file), { recursive: true });
  const fd = openSync(file, 'a', FILE_MODE);
  return { fd, size: fstatSync(fd).size };
}

/** Moves every file one number on; the last one goes. */
function shift(file: string, keep: number): void {
  const names = [file, ...Array.from({ length: keep }, (_, index) => `${file}.${index + 1}`)];
  rmSync(names.at(-1) ?? file, { force: true });
  for (let index = keep; index > 0; index--) move(names[index - 1] ?? file, names[index] ?? file);
}

function move(from: string, to: string): void {
  try {
    renameSync(from, to);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
}
