import type { Entry, Unreadable } from './entry.ts';
import type { LogFile } from './files.ts';
import { readJsonLine } from './json-line.ts';
import { isDamagedCompression, linesOf } from './lines.ts';
import { readNginxLine } from './nginx-line.ts';
import type { Account } from './report.ts';

/** Reads a log into the account, telling now and then how many lines it has read. Throws `UnreadableLog`. */
export async function readLog(log: LogFile, account: Account, progress: (lines: number) => void): Promise<void> {
  let number = 0;
  const at = (): string => `${log.path}:${number}`;
  try {
    for await (const lines of linesOf(log.read())) {
      for (const line of lines) {
        number++;
        if (line === '' || line === '\r') continue;
        const entry = readEntry(line);
        if (typeof entry === 'string') account.addUnread(entry, at);
        else account.add(entry);
      }
      progress(lines.length);
    }
  } catch (error) {
    if (!isDamagedCompression(error)) throw error;
    number++;
    account.addUnread('damaged compression', at);
  }
}

/** The first day of the year 10000, in milliseconds since 1970. */
const TOO_LATE = Date.UTC(10_000, 0);

/** Reads a line of either format. */
export function readEntry(line: string): Entry | Unreadable {
  const entry = line.startsWith('{') ? readJsonLine(line) : readNginxLine(line);
  if (typeof entry === 'string' || (entry.time >= 0 && entry.time < TOO_LATE)) return entry;
  return 'of an impossible time';
}
