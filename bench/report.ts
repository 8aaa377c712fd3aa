import { table } from '../demo/table.ts';
import { title } from './explanations.ts';
import type { Column, Goal, Measures, Row, Summary, Verdict } from './measures.ts';

const COLUMNS: readonly Column[] = [
  'layover',
  'nginx files',
  'nginx cache',
  'docker-registry',
  'distribution',
  'direct',
];
const VERDICTS: Readonly<Record<Verdict, string>> = { met: 'met: ', close: 'CLOSE: ', missed: 'NOT MET: ' };

export function report(measures: Measures): string {
  return table(cells(measures));
}

/** A head, and a line for each row: medians with the least and the greatest value, what they are of two others', and the goal. */
export function cells(measures: Measures): string[][] {
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
  return [head, ...lines];
}

/** The rows whose goal is met, missed by some rounds, or missed by all. */
export function conclusion(measures: Measures, known: ReadonlySet<string>): string {
  const judged = (verdict: Verdict) => measures.rows.filter((row) => measures.verdict(row) === verdict).map(title);
  const [met, close, missed] = [judged('met'), judged('close'), judged('missed')];
  const marked = missed.map((one) => `${one}${known.has(one) ? ' (explained)' : ' (NOT EXPLAINED)'}`);
  const lines = [`goals: ${met.length} met, ${close.length} close, ${missed.length} missed`];
  if (close.length > 0) lines.push('', 'the median misses the goal, single rounds reach it:', ...close.map(entry));
  if (missed.length > 0) lines.push('', 'no round reaches the goal:', ...marked.map(entry));
  return lines.join('\n');
}

function entry(text: string): string {
  return `  ${text}`;
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
  return value === undefined || !Number.isFinite(value) ? '' : value.toFixed(2);
}

function goals(measures: Measures, row: Row): string {
  const verdict = measures.verdict(row);
  return (verdict === undefined ? '' : VERDICTS[verdict]) + (row.goals ?? []).map(sentence).join(', ');
}

function sentence({ of, atLeast, atMost }: Goal): string {
  const bound = atLeast === undefined ? `≤ ${atMost}` : `≥ ${atLeast}`;
  return of === undefined ? bound : `${bound} × ${of}`;
}
