import type { CacheResult } from '../events.ts';
import { bytesText, countText, durationText } from '../html/figures.ts';
import { COLUMNS, cells, timeText } from './figures.ts';
import type { Cut, Pull, Reason, Report, Table } from './report.ts';
import { isHit } from './tally.ts';

/** A table as it is shown, on a terminal and on a page; its texts are as they came from the log. */
export interface ShownTable {
  readonly title: string;
  readonly head: readonly string[];
  /** What cells are texts and not figures. */
  readonly texts: number;
  readonly rows: readonly (readonly string[])[];
}

const NOT_TOLD = "(not told by nginx's format)";

/** Every table of a report that has rows; `cut` is what shows it alone. */
export function tablesOf(report: Report): readonly (ShownTable & { readonly cut: Cut | undefined })[] {
  const { span, times, reasons, upstreams, images, clients, slowest } = report;
  const day = span === 'day' ? 'day' : 'minute';
  const among = (isAmong: (cache: CacheResult) => boolean): readonly Reason[] =>
    reasons.filter(({ cache }) => isAmong(cache));
  const tables = [
    {
      cut: span,
      title: span === 'day' ? 'By day' : 'By hour',
      head: [span, ...COLUMNS],
      texts: 1,
      rows: times.map((row) => [timeText(row.name, day), ...cells(row)]),
    },
    reasonTable(
      'Why it was not served from here',
      among((cache) => cache === 'miss' || cache === 'bypass'),
    ),
    reasonTable('Served from here', among(isHit)),
    reasonTable(
      'Not concerning the cache',
      among((cache) => cache === 'none'),
    ),
    namedTable('Upstreams', 'upstream', upstreams),
    namedTable('Images', 'image', images),
    namedTable('Clients', 'client', clients),
    {
      cut: undefined,
      title: 'Slowest pulls',
      head: ['image', 'reference', 'client', 'cache', 'ended', 'took', 'sent'],
      texts: 4,
      rows: slowest.map(pullCells),
    },
  ];
  return tables.filter(({ rows }) => rows.length > 0);
}

function namedTable(title: string, cut: Cut, { rows, others }: Table) {
  const shown = rows.map((row) => [row.name, ...cells(row)]);
  if (others.requests > 0) shown.push(['(all others)', ...cells(others)]);
  return { cut, title, head: [cut, ...COLUMNS], texts: 1, rows: shown };
}

function reasonTable(title: string, reasons: readonly Reason[]) {
  return {
    cut: 'why' as const,
    title,
    head: ['cache', 'why', 'requests', 'failed', 'sent'],
    texts: 2,
    rows: reasons.map(({ cache, why, requests, failures, bytes }) => [
      cache,
      why ?? NOT_TOLD,
      countText(requests),
      countText(failures),
      bytesText(bytes),
    ]),
  };
}

function pullCells({ image, reference, client, cache, why, time, total, bytes }: Pull): readonly string[] {
  const result = why === undefined ? cache : `${cache}, ${why}`;
  return [image, reference ?? '-', client, result, timeText(time), durationText(total), bytesText(bytes)];
}
