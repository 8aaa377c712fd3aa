import { table } from '../demo/table.ts';
import type { Column, Goal, Measures, Row, Summary } from './measures.ts';

const COLUMNS: readonly Column[] = ['layover', 'nginx files', 'nginx cache', 'docker-registry', 'direct'];

/** One line a row: medians with the least and the greatest value, what they are of two others', and the goal. */
export function report(measures: Measures): string {
  const columns = COLUMNS.filter((column) => measures.rows.some((row) => measures.summary(row, column) !== undefined));
  const head = ['', 'unit', ...columns, '× nginx', '× registry', 'goal'];
  const lines = measures.rows.map((row) => [
    row.name,
    row.unit,
    ...columns.map((column) => range(measures.summary(row, column))),
    ratio(measures.ratio(row, 'nginx files') ?? measures.ratio(row, 'nginx cache')),
    ratio(measures.ratio(row, 'docker-registry')),
    goals(measures, row),
  ]);
  return table([head, ...lines]);
}

function range(summary: Summary | undefined): string {
  if (summary === undefined) return '';
  const { median, min, max } = summary;
  return min === max ? figure(median) : `${figure(median)} (${figure(min)}–${figure(max)})`;
}

/** Three digits that count. */
function figure(value: number): string {
  if (value >= 10_000) return `${(value / 1000).toFixed(1)}k`;
  return value.toFixed(value >= 100 ? 0 : value >= 10 ? 1 : 2).replace(/\.0+$/, '');
}

function ratio(value: number | undefined): string {
  return value === undefined ? '' : value.toFixed(2);
}

function goals(measures: Measures, row: Row): string {
  const reached = measures.reached(row);
  const verdict = reached === undefined ? '' : reached ? 'met: ' : 'NOT MET: ';
  return verdict + (row.goals ?? []).map(sentence).join(', ');
}

function sentence({ of, atLeast, atMost }: Goal): string {
  const bound = atLeast === undefined ? `≤ ${atMost}` : `≥ ${atLeast}`;
  return of === undefined ? bound : `${bound} × ${of}`;
}
