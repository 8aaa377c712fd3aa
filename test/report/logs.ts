import type { RequestEvent } from '../../src/events.ts';
import type { LogFile } from '../../src/report/files.ts';
import { readLog } from '../../src/report/read.ts';
import { Account, type Cut, type Report } from '../../src/report/report.ts';
import { jsonLine, nginxLine } from '../../src/telemetry/access-log.ts';
import { requestEvent } from '../telemetry/events.ts';

export const NOON = new Date('2026-11-21T12:00:05Z');
export const FORMATS = { json: jsonLine, nginx: nginxLine };

/** A request of each kind that reports tell apart, two seconds of work and a kibibyte each. */
export const REQUESTS: readonly RequestEvent[] = [
  { cache: 'hit', why: 'stored' } as const,
  { cache: 'revalidated', why: 'unchanged' } as const,
  { cache: 'stale', why: 'upstream-unreachable' } as const,
  { cache: 'collapsed', why: 'being-fetched' } as const,
  { cache: 'miss', why: 'first-time', total: 5000 } as const,
  { cache: 'miss', why: 'evicted' } as const,
  { cache: 'miss', why: 'upstream-refused', status: 404 } as const,
  { cache: 'bypass', why: 'not-cacheable' } as const,
  { cache: 'none', why: 'UNAVAILABLE', status: 504 } as const,
].map((changes) => requestEvent({ bytes: 1024, total: 2000, ...changes }));

/** A log that is not on a disk. */
export function logOf(...chunks: readonly (string | Uint8Array)[]): LogFile {
  return {
    path: 'access.log',
    async *read() {
      for (const chunk of chunks) yield Buffer.from(chunk);
    },
    [Symbol.asyncDispose]: async () => {},
  };
}

export async function reportOf(log: LogFile, { since, by }: { since?: number; by?: Cut } = {}): Promise<Report> {
  const account = new Account(since);
  await readLog(log, account, () => {});
  return account.report([log.path], by);
}
