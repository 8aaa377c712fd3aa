import { publish } from '../events.ts';
import { openLogFile, type Rotation, type Sink } from './log-file.ts';

const GATHER_MS = 20;
const WAITING_LIMIT = 8 * 1024 * 1024;
const COMPLAINT_INTERVAL_MS = 60_000;
/** Bytes that reach a pipe in one piece whoever else writes to it (PIPE_BUF, pipe(7)). */
const ONE_PIECE = 4096;

/** Appends lines to a file or to standard output without ever making the caller wait. */
export interface LineWriter {
  /** `line` ends in a newline. */
  write(line: string): void;
  /** Opens the file by its name again, after it was moved away; does nothing for standard output. */
  reopen(): void;
  /** Resolves when every line is written, or given up. */
  close(): Promise<void>;
}

/**
 * Opens `file`, making its directory, and rotates it; `-` is standard output, which is not. Throws when the file cannot be opened. Lines that cannot
 * be written later (a full disk, a reader that is 8 MiB behind) are lost, and a notice says so once a minute. `isShared`: so that lines of
 * other processes do not get into ours.
 */
export function openLineWriter(file: string, rotation: Rotation = NEVER, isShared = false): LineWriter {
  const complain = complainer(file);
  const open = (): Sink => {
    if (file === '-') return openStandardOutput(complain, isShared);
    try {
      return openLogFile(file, rotation);
    } catch (cause) {
      throw new Error(`the access log ${file} cannot be opened`, { cause });
    }
  };
  let sink = open();
  let gathered = '';
  let timer: NodeJS.Timeout | undefined;
  let work = Promise.resolve();

  const enqueue = (step: () => Promise<void>): Promise<void> => {
    work = work.then(step).catch(complain);
    return work;
  };
  const flush = (): Promise<void> => {
    const lines = gathered;
    gathered = '';
    return enqueue(async () => {
      if (lines !== '') await sink.append(lines);
    });
  };
  // One write for many lines costs half of one write per line.
  const gather = (): void => {
    timer = setTimeout(async () => {
      await flush();
      timer = undefined;
      if (gathered !== '') gather();
    }, GATHER_MS);
  };

  return {
    write(line) {
      if (gathered.length > WAITING_LIMIT) return complain(new Error('nobody takes the lines'));
      gathered += line;
      if (timer === undefined) gather();
    },
    reopen() {
      void flush();
      void enqueue(async () => {
        const next = open();
        sink.close();
        sink = next;
      });
    },
    async close() {
      clearTimeout(timer);
      await flush();
      sink.close();
    },
  };
}

const NEVER: Rotation = { maxSize: 0, keep: 0 };

function openStandardOutput(complain: (error: unknown) => void, isShared: boolean): Sink {
  process.stdout.on('error', complain);
  const write = (lines: string): Promise<void> =>
    new Promise((resolve) => process.stdout.write(lines, () => resolve()));
  return {
    async append(lines) {
      for (const piece of isShared ? inPieces(lines) : [lines]) await write(piece);
    },
    close: () => process.stdout.off('error', complain),
  };
}

/** Whole lines, as many at a time as reach a pipe in one piece; a line that is longer is on its own. */
export function inPieces(lines: string): readonly string[] {
  const pieces: string[] = [];
  for (const line of lines.match(/.*\n/g) ?? []) {
    const piece = `${pieces.at(-1) ?? ''}${line}`;
    if (pieces.length > 0 && Buffer.byteLength(piece) <= ONE_PIECE) pieces[pieces.length - 1] = piece;
    else pieces.push(line);
  }
  return pieces;
}

function complainer(file: string): (error: unknown) => void {
  let last = Number.NEGATIVE_INFINITY;
  return (error) => {
    if (performance.now() - last < COMPLAINT_INTERVAL_MS) return;
    last = performance.now();
    publish('notice', { level: 'error', message: 'the access log loses lines', fields: { file }, error });
  };
}
