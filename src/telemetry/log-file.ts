import { appendFile, closeSync, fstatSync, mkdirSync, openSync, renameSync, rmSync, statSync } from 'node:fs';
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

/** Milliseconds after which somebody who rotates is no more. */
const LOST = 10_000;

/**
 * A file that is appended to and rotated before it would grow over its size, by whichever of the processes that write to it
 * comes first; the others find it moved and go on in the new one. Throws when it cannot be opened.
 */
export function openLogFile(file: string, rotation: Rotation): Sink {
  const { maxSize } = rotation;
  let fd = open(file);
  let isClosed = false;
  /** Beyond the size, where it could not be rotated. */
  let tolerated = 0;
  const reopen = (): void => {
    const next = open(file);
    closeSync(fd);
    fd = next;
    tolerated = 0;
  };
  const look = (length: number): void => {
    if (isMoved(file, fd)) reopen();
    const { size } = fstatSync(fd);
    if (size === 0 || size + length <= maxSize + tolerated) return;
    try {
      if (alone(file, () => isMoved(file, fd) || shift(file, rotation.keep))) reopen();
    } catch (error) {
      tolerated = size;
      publish('notice', { level: 'warn', message: 'the access log cannot be rotated', fields: { file }, error });
    }
  };
  return {
    async append(lines) {
      if (isClosed) throw new Error(`${file} is closed`);
      if (maxSize > 0) look(Buffer.byteLength(lines));
      // One write, at the end of the file: lines of several processes do not mix.
      await append(fd, lines);
    },
    // The number of a closed descriptor may already be another file: it is closed once.
    close() {
      if (!isClosed) closeSync(fd);
      isClosed = true;
    },
  };
}

function open(file: string): number {
  mkdirSync(dirname(file), { recursive: true });
  return openSync(file, 'a', FILE_MODE);
}

/** Whether the name has become that of another file; where nobody has it, who took it away will tell. */
function isMoved(file: string, fd: number): boolean {
  const there = statSync(file, { throwIfNoEntry: false });
  return there !== undefined && there.ino !== fstatSync(fd).ino;
}

/** Runs `action` while no other process does so; `false` when one does. */
function alone(file: string, action: () => void): boolean {
  const lock = `${file}.rotating`;
  const since = statSync(lock, { throwIfNoEntry: false })?.mtimeMs;
  if (since !== undefined && Date.now() - since > LOST) rmSync(lock, { recursive: true, force: true });
  try {
    mkdirSync(lock);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
  try {
    action();
    return true;
  } finally {
    rmSync(lock, { recursive: true, force: true });
  }
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
