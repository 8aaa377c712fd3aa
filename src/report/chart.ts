import type { Report } from './report.ts';
import type { Row } from './tally.ts';

/** What the bars of a chart over time consist of, from the ground up. */
export interface Part {
  /** A class of the style sheet. */
  readonly kind: string;
  readonly label: string;
  readonly of: (row: Row) => number;
}

/** How the figures of a chart are written. */
export interface Scale {
  readonly value: (value: number) => string;
  readonly time: (iso: string) => string;
  /** What figures are round in: 1000, or 1024 for bytes. */
  readonly base: 1000 | 1024;
}

const [WIDTH, HEIGHT, LEFT, FOOT] = [900, 220, 70, 24];
const SPANS = { hour: 3_600_000, day: 86_400_000 };
const GRID = 4;
/** How many times are written below a chart at the most. */
const TIMES = 6;
/** How much room one of them takes. */
const LABEL = 130;

/** Stacked bars over time as an SVG image; `title` and `foot` are its texts, and the table beside it has the figures. */
export function timeChart({ span, times }: Report, title: string, parts: readonly Part[], scale: Scale): string {
  const [first, last] = [times[0], times.at(-1)];
  if (first === undefined || last === undefined) return '';
  const at = (row: Row): number => Math.round((Date.parse(row.name) - Date.parse(first.name)) / SPANS[span]);
  const step = (WIDTH - LEFT) / (at(last) + 1);
  const sums = times.map((row) => parts.reduce((sum, { of }) => sum + of(row), 0));
  const highest = GRID * roundStep(Math.max(1, ...sums) / GRID, scale.base);
  const bars = times.map((row) => bar(row, parts, LEFT + at(row) * step, Math.max(step * 0.85, 0.5), highest));
  const lines = Array.from({ length: GRID + 1 }, (_, index) => {
    const y = round(HEIGHT - (HEIGHT - 10) * (index / GRID));
    return `<line x1="${LEFT}" x2="${WIDTH}" y1="${y}" y2="${y}"/><text x="${LEFT - 6}" y="${y + 4}" text-anchor="end">${scale.value((highest * index) / GRID)}</text>`;
  });
  const every = Math.ceil((at(last) + 1) / TIMES);
  const foot = times
    .filter((row) => at(row) % every === 0 && LEFT + at(row) * step <= WIDTH - LABEL)
    .map((row) => `<text x="${round(LEFT + at(row) * step)}" y="${HEIGHT + FOOT - 6}">${scale.time(row.name)}</text>`);
  return `<svg viewBox="0 0 ${WIDTH} ${HEIGHT + FOOT}" role="img" aria-label="${title}; the table below has the figures"><g class="grid">${lines.join('')}${foot.join('')}</g>${bars.join('')}</svg>`;
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

const DECIMAL = [1, 10, 100].flatMap((ten) => [1, 2, 2.5, 4, 5, 8].map((one) => one * ten));
const BINARY = Array.from({ length: 10 }, (_, power) => [2 ** power, 1.5 * 2 ** power]).flat();

/** The next number from `least` on that is read at a glance: 1, 2, 4, 5, 8, 10 …, or powers of two and those between. */
function roundStep(least: number, base: Scale['base']): number {
  const unit = base ** Math.max(0, Math.floor(Math.log(least) / Math.log(base)));
  const steps = (base === 1000 ? DECIMAL : BINARY).map((step) => step * unit);
  return [...steps, base * unit].find((step) => step >= least && Number.isInteger(step)) ?? least;
}

const round = (value: number): number => Math.round(value * 100) / 100;
