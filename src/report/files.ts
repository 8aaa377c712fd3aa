import { type FileHandle, open, readdir } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';

/** A log that cannot be read. */
export class UnreadableLog extends Error {
  override readonly name = 'UnreadableLog';
}

export interface LogFile extends AsyncDisposable {
  readonly path: string;
  read(): AsyncIterable<Buffer>;
}

/** What rotation makes of a name: `access.log.1`, `access.log.2.gz`, `access.log-20261121.gz`. */
const ROTATED = /^[.-]\d{1,14}(?:\.gz)?$/;

/**
 * The file and what was rotated away from it. Where something is there compressed and not, the compression is running,
 * and the latter is whole. Throws {@link UnreadableLog} when there is none at all.
 */
export async function withRotated(file: string): Promise<readonly string[]> {
  const [directory, name] = [dirname(file), basename(file)];
  const names = await readdir(directory).catch((cause) => {
    throw unreadable(directory, cause);
  });
  const isOurs = (found: string): boolean =>
    found === name || (found.startsWith(name) && ROTATED.test(found.slice(name.length)));
  const found = names.filter(
    (found) => isOurs(found) && !(found.endsWith('.gz') && names.includes(found.slice(0, -3))),
  );
  if (found.length === 0)
    throw new UnreadableLog(`${file}: there is no such log, and none that was rotated away from it`);
  // By length first, so that 10 comes after 9: the youngest before the older ones.
  found.sort((a, b) => a.length - b.length || (a < b ? -1 : 1));
  return found.map((found) => join(directory, found));
}

/** Opens all of them before one is read: rotation meanwhile neither hides a file nor shows it twice. `-` is standard input. */
export async function openLogs(paths: readonly string[]): Promise<readonly LogFile[]> {
  const logs: LogFile[] = [];
  const seen = new Set<string>();
  try {
    for (const path of paths) {
      const log = path === '-' ? standardInput() : await openLog(path, seen);
      if (log !== undefined) logs.push(log);
    }
  } catch (cause) {
    for (const log of logs) await log[Symbol.asyncDispose]();
    throw cause;
  }
  return logs;
}

/** Undefined where the same file was opened already by another name. */
async function openLog(path: string, seen: Set<string>): Promise<LogFile | undefined> {
  let file: FileHandle | undefined;
  try {
    file = await open(path);
    const found = await file.stat();
    if (found.isDirectory()) throw Object.assign(new Error('is a directory'), { code: 'EISDIR' });
    const identity = `${found.dev}:${found.ino}`;
    if (seen.has(identity)) return void (await file.close());
    seen.add(identity);
  } catch (cause) {
    await file?.close();
    throw unreadable(path, cause);
  }
  return fileLog(path, file);
}

function fileLog(path: string, file: FileHandle): LogFile {
  return {
    path,
    async *read() {
      try {
        yield* file.createReadStream({ highWaterMark: 256 * 1024, autoClose: false });
      } catch (cause) {
        throw unreadable(path, cause);
      }
    },
    [Symbol.asyncDispose]: () => file.close(),
  };
}

function standardInput(): LogFile {
  return { path: '-', read: () => process.stdin, [Symbol.asyncDispose]: async () => {} };
}

const REASONS: Readonly<Record<string, string>> = {
  ENOENT: 'there is no such file',
  ENOTDIR: 'there is no such file',
  EACCES: 'this user may not read it',
  EISDIR: 'it is a directory; name the files in it',
};

function unreadable(path: string, cause: unknown): UnreadableLog {
  const code = cause instanceof Error && 'code' in cause ? String(cause.code) : String(cause);
  return new UnreadableLog(`${path}: ${REASONS[code] ?? 'it cannot be read'} (${code})`, { cause });
}
