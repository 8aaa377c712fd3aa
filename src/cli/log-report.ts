import { readFile, rename, writeFile } from 'node:fs/promises';
import type { Config } from '../config/config.ts';
import { parseDuration } from '../config/grammar.ts';
import { visible } from '../html/figures.ts';
import { openLogs, UnreadableLog, withRotated } from '../report/files.ts';
import { htmlReport } from '../report/html.ts';
import { readLog } from '../report/read.ts';
import { Account, CUTS, type Cut } from '../report/report.ts';
import { textReport } from '../report/text.ts';

export interface LogReportOptions {
  readonly since?: string | undefined;
  readonly by?: string | undefined;
  readonly json?: boolean | undefined;
  /** A file for the page. */
  readonly html?: string | undefined;
}

const QUIET = 1000;
const PROGRESS_INTERVAL = 200;

/** Prints what the access logs tell: those that are named, or the configured one and its rotated ones. */
export async function logReport(
  files: readonly string[],
  options: LogReportOptions,
  load: () => Promise<Config>,
): Promise<number> {
  const { json, html } = options;
  const [cut, start] = [cutOf(options.by), startOf(options.since)];
  const mistake = await mistakeOf(cut, start, html);
  if (mistake !== undefined || cut === null) {
    process.stderr.write(`layover: ${mistake}\n`);
    return 2;
  }
  try {
    const paths = files.length > 0 ? files : await configured(await load());
    const account = new Account(start);
    const report = account.report(await readAll(paths, account), cut);
    if (html !== undefined) await writePage(html, htmlReport(report));
    print(json === true ? `${JSON.stringify(report)}\n` : textReport(report, cut));
    return 0;
  } catch (error) {
    if (!(error instanceof UnreadableLog)) throw error;
    process.stderr.write(`layover: ${error.message}\n`);
    return 2;
  }
}

/** What was read: each file once, however often it is named. */
async function readAll(paths: readonly string[], account: Account): Promise<readonly string[]> {
  const logs = await openLogs(paths);
  const tell = progress();
  try {
    for (const log of logs) await readLog(log, account, (lines) => tell(lines, log.path));
    return logs.map(({ path }) => path);
  } finally {
    tell.end();
    for (const log of logs) await log[Symbol.asyncDispose]();
  }
}

async function configured({ log }: Config): Promise<readonly string[]> {
  const { file } = log.access;
  if (file !== '-') return withRotated(file);
  throw new UnreadableLog('log.access.file is standard output; name the file that it went to, or - for standard input');
}

/** Null for a word that is none. */
function cutOf(by: string | undefined): Cut | undefined | null {
  return by === undefined ? undefined : (CUTS.find((cut) => cut === by) ?? null);
}

/** Milliseconds since 1970. A date without a zone is one of this machine's. */
function startOf(since: string | undefined): number | undefined {
  if (since === undefined) return Number.NEGATIVE_INFINITY;
  const duration = parseDuration(since);
  if (duration !== undefined) return Date.now() - duration;
  const [, day, clock] = /^(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d(?::\d\d)?(?:Z|[+-]\d\d:\d\d)?))?$/.exec(since) ?? [];
  const start = Date.parse(`${day}T${clock ?? '00:00'}`);
  return Number.isNaN(start) ? undefined : start;
}

async function mistakeOf(
  cut: Cut | undefined | null,
  start: number | undefined,
  html: string | undefined,
): Promise<string | undefined> {
  if (cut === null) return `--by: expected one of ${CUTS.join(', ')}`;
  if (start === undefined)
    return '--since: expected a duration such as 24h or 7d, or a date such as 2026-11-21 or 2026-11-21T14:00';
  // Over another page it may write; a log, say, is not lost to a slip of the hand.
  const there = html === undefined ? undefined : await readFile(html).catch(() => undefined);
  const isPage =
    there === undefined || there.length === 0 || there.subarray(0, 15).equals(Buffer.from('<!doctype html>'));
  return isPage ? undefined : `--html: ${html} is there and is no page; name another file`;
}

async function writePage(file: string, page: string): Promise<void> {
  await writeFile(`${file}.tmp`, page);
  await rename(`${file}.tmp`, file);
}

/** Whoever reads may stop early, such as `head`. */
function print(text: string): void {
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error;
  });
  process.stdout.write(text);
}

/** Tells a terminal how far it is, once it takes long. */
function progress(): ((lines: number, path: string) => void) & { end(): void } {
  const begin = performance.now();
  let [total, last] = [0, begin + QUIET - PROGRESS_INTERVAL];
  let isShown = false;
  const tell = (lines: number, path: string): void => {
    total += lines;
    const now = performance.now();
    if (!process.stderr.isTTY || now - last < PROGRESS_INTERVAL) return;
    [last, isShown] = [now, true];
    process.stderr.write(`\r\x1b[K${total} lines read, ${visible(path)} …`);
  };
  return Object.assign(tell, { end: () => void (isShown && process.stderr.write('\r\x1b[K')) });
}
