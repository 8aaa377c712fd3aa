import { publish } from '../events.ts';
import { openLogFile, type Rotation, type Sink } from './log-file.ts';

const GATHER_MS = 20;
const WAITING_LIMIT = 8 * 1024 * 1024;
const COMPLAINT_INTERVAL_MS = 60_000;

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
 * be written later (a full disk, a reader that is 8 MiB behind) are lost, and a notice says so once a minute.
 */
export function openLineWriter(file: string, rotation: Rotation = NEVER): LineWriter {
  const complain = complainer(file);
  let sink = openSink(file, rotation, complain);
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
        const next = openSink(file, rotation, complain);
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

function openSink(file: string, rotation: Rotation, complain: (error: unknown) => void): Sink {
  if (file === '-') return openStandardOutput(complain);
  try {
    return openLogFile(file, rotation);
  } catch (cause) {
    throw new Error(`the access log ${file} cannot be opened`, { cause });
  }
}

function openStandardOutput(complain: (error: unknown) => void): Sink {
  process.stdout.on('error', complain);
  return {
    append: (lines) => new Promise((resolve) => process.stdout.write(lines, () => resolve())),
    close: () => process.stdout.off('error', complain),
  };
}

function complainer(file: string): (error: unknown) => void {
  let last = Number.NEGATIVE_INFINITY;
  return (error) => {
    if (performance.now() - last < COMPLAINT_INTERVAL_MS) return;
    last = performance.now();
    publish('notice', { level: 'error', message: 'the access log loses lines', fields: { file }, error });
  };
}
