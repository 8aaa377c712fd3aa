import type { Outcome } from './outcome.ts';

const begin = '<!-- tables of clients: written by test/clients/publish.ts -->';
const end = '<!-- end of the tables of clients -->';

/** What stands between the two marks of the README. */
export function publishedIn(readme: string): string {
  return readme.slice(...bounds(readme));
}

/** The README with other tables between its marks. */
export function publish(readme: string, tables: string): string {
  const [from, to] = bounds(readme);
  return readme.slice(0, from) + tables + readme.slice(to);
}

function bounds(readme: string): [number, number] {
  const [from, to] = [readme.indexOf(begin), readme.indexOf(end)];
  if (from < 0 || to < from) throw new Error(`the README lacks the marks ${begin} and ${end}`);
  return [from + begin.length, to];
}

/** A table of client and door by step for each list of steps, and the notes that its cells refer to. */
export function render(outcomes: readonly Outcome[]): string {
  const notes = new Notes();
  const tables = Map.groupBy(outcomes, ({ steps }) => steps.join());
  const texts = tables.values().map((rows) => table(rows, notes));
  return `\n\n${[...texts, notes.toString()].join('\n\n')}\n\n`;
}

/** Numbers the notes in the order in which cells ask for them. */
class Notes {
  readonly #texts: string[] = [];

  refer(text: string): string {
    if (!this.#texts.includes(text)) this.#texts.push(text);
    return `(${this.#texts.indexOf(text) + 1})`;
  }

  toString(): string {
    return this.#texts.map((text, index) => `${index + 1}. ${text}.`).join('\n');
  }
}

function table(outcomes: readonly Outcome[], notes: Notes): string {
  const steps = outcomes[0]?.steps ?? [];
  const groups = Map.groupBy(outcomes, ({ client, door }) => `${client}\n${door}`);
  const lines = groups
    .values()
    .map((rows) => [
      `${rows[0]?.client} ${versions(rows)}`,
      rows[0]?.door ?? '',
      ...steps.map((step) => cell(rows, step, notes)),
    ])
    .toArray();
  return markdown(['client', 'led by', ...steps], lines);
}

function versions(rows: readonly Outcome[]): string {
  return [...new Set(rows.map(({ version }) => version))].join(', ');
}

/** One cell for all generations and registries: a failure of one counts, and so does what only some can. */
function cell(rows: readonly Outcome[], step: string, notes: Notes): string {
  if (rows.some(({ failed }) => failed.includes(step))) return 'FAIL';
  const [passed = [], lacking = []] = [false, true].map((lacks) =>
    rows.filter(({ cannot }) => step in cannot === lacks),
  );
  const [remark] = passed.flatMap(({ remarks }) => remarks[step] ?? []);
  if (passed.length > 0) return remark === undefined ? '✓' : `✓ ${notes.refer(remark)}`;
  const [reason] = lacking.flatMap(({ cannot }) => cannot[step] ?? []);
  return `– ${notes.refer(reason ?? '')}`;
}

/** A table whose columns are as wide as their widest cell, as the formatter wants it. */
function markdown(head: readonly string[], lines: readonly (readonly string[])[]): string {
  const widths = head.map((_, column) => Math.max(3, ...[head, ...lines].map((cells) => cells[column]?.length ?? 0)));
  const row = (cells: readonly string[], filler = ' ') =>
    `| ${cells.map((text, column) => text.padEnd(widths[column] ?? 0, filler)).join(' | ')} |`;
  return [
    row(head),
    row(
      head.map(() => ''),
      '-',
    ),
    ...lines.map((cells) => row(cells)),
  ].join('\n');
}
