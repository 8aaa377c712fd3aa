import type { Report } from './report.ts';
import type { Row } from './tally.ts';

/** What the bars of a chart over time consist of, from the ground up. */
export interface Part {
  /** A class of the style sheet. */
  readonly kind: string;
  readonly label: string;
  readonly of: (row: Row) => number;
}

const [WIDTH, HEIGHT, LEFT, FOOT] = [900, 220, 70, 24];
const SPANS = { hour: 3_600_000, day: 86_400_000 };
const GRID = 4;

/** Stacked bars over time as an SVG image; `title` and `foot` are its texts, and the table beside it has the figures. */
export function timeChart(
  { span, times }: Report,
  title: string,
  parts: readonly Part[],
  show: { readonly value: (value: number) => string; readonly time: (iso: string) => string },
): string {
  const [first, last] = [times[0], times.at(-1)];
  if (first === undefined || last === undefined) return '';
  const at = (row: Row): number => Math.round((Date.parse(row.name) - Date.parse(first.name)) / SPANS[span]);
  const step = (WIDTH - LEFT) / (at(last) + 1);
  const sums = times.map((row) => parts.reduce((sum, { of }) => sum + of(row), 0));
  const highest = Math.max(1, ...sums);
  const bars = times.map((row) => bar(row, parts, LEFT + at(row) * step, Math.max(step * 0.85, 0.5), highest));
  const lines = Array.from({ length: GRID + 1 }, (_, index) => {
    const y = round(HEIGHT - (HEIGHT - 10) * (index / GRID));
    return `<line x1="${LEFT}" x2="${WIDTH}" y1="${y}" y2="${y}"/><text x="${LEFT - 6}" y="${y + 4}" text-anchor="end">${show.value((highest * index) / GRID)}</text>`;
  });
  const foot = `<text x="${LEFT}" y="${HEIGHT + FOOT - 6}">${show.time(first.name)}</text><text x="${WIDTH}" y="${HEIGHT + FOOT - 6}" text-anchor="end">${show.time(last.name)}</text>`;
  return `<svg viewBox="0 0 ${WIDTH} ${HEIGHT + FOOT}" role="img" aria-label="${title}; the table below has the figures"><g class="grid">${lines.join('')}${foot}</g>${bars.join('')}</svg>`;
}

function bar(row: Row, parts: readonly Part[], x: number, width: number, highest: number): string {
  let ground = HEIGHT;
  return parts
    .map(({ kind, of }) => {
      const height = (of(row) / highest) * (HEIGHT - 10);
      ground -= height;
      if (height === 0) return '';
      return `<rect class="${kind}" x="${round(x)}" y="${round(ground)}" width="${round(width)}" height="${round(height)}"/>`;
    })
    .join('');
}

const round = (value: number): number => Math.round(value * 100) / 100;
