import { bytesText, countText, durationText, shareText, visible } from '../html/figures.ts';
import { timeText } from './figures.ts';
import type { Cut, Report } from './report.ts';
import { type ShownTable, tablesOf } from './tables.ts';
import { hitRatio } from './tally.ts';

const WIDEST = 64;

/** The report for a terminal: everything, or what it is cut by. */
export function textReport(report: Report, by?: Cut): string {
  const summary = `${summaryOf(report).join('\n')}\n`;
  if (report.totals.requests === 0) return summary;
  const shown = tablesOf(report).filter(({ cut }) => by === undefined || cut === by);
  return `${summary}\n${shown.map(tableText).join('\n')}`;
}

/** What came out, in sentences: also how much could not be read. Its texts are safe for a terminal. */
export function summaryOf({ lines, older, unread, from, to, totals, percentiles, files }: Report): readonly string[] {
  const read = `${countText(lines)} lines in ${files.length} ${files.length === 1 ? 'file' : 'files'}`;
  const left = older > 0 ? [`${countText(older)} of them are older than asked for`] : [];
  const ignored = unread.map(
    ({ what, lines, at }) =>
      `${countText(lines)} could not be read: ${what} (${at.map(visible).join(', ')}${lines > at.length ? ', …' : ''})`,
  );
  if (from === undefined || to === undefined) return [`${read}: no request in them`, ...left, ...ignored];
  const { requests, bytes, saved } = totals;
  return [
    `${timeText(from)} to ${timeText(to)}: ${countText(requests)} requests, from ${read}`,
    ...left,
    ...ignored,
    `hit ratio  ${shareText(hitRatio(totals))} of the requests for content`,
    `saved      ${bytesText(saved)} of ${bytesText(bytes)} sent (${shareText(bytes === 0 ? undefined : saved / bytes)})`,
    ...percentiles.map(
      ({ of, p50, p90, p99 }) =>
        `${of.padEnd(10)} first byte within ${durationText(p50)} (half), ${durationText(p90)} (90 %), ${durationText(p99)} (99 %)`,
    ),
  ];
}

function tableText({ title, head, texts, rows }: ShownTable): string {
  const lines = [head, ...rows.map((row) => row.map((cell) => shortened(visible(cell))))];
  const widths = head.map((_, column) => Math.max(...lines.map((line) => line[column]?.length ?? 0)));
  const texted = lines.map((line) =>
    line
      .map((cell, column) => (column < texts ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0)))
      .join('  ')
      .trimEnd(),
  );
  return `${title}\n${texted.map((line) => `  ${line}\n`).join('')}`;
}

const shortened = (text: string): string =>
  text.length > WIDEST ? `${text.slice(0, WIDEST / 2)}…${text.slice(1 - WIDEST / 2)}` : text;
