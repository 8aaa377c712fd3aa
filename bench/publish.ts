import { readFile, writeFile } from 'node:fs/promises';
import { PAGE } from './explanations.ts';
import { type MeasuredRow, Measures } from './measures.ts';
import { cells } from './report.ts';

/** What a run keeps in a file. */
export interface Results {
  readonly began: Date | string;
  readonly machine: { readonly processor: string; readonly cores: number; readonly node: string };
  /** Before each round and at the end. */
  readonly loads: readonly number[];
  /** That were finished. */
  readonly rounds: number;
  readonly isQuick: boolean;
  /** Beginnings of the names of the workloads; none for all. */
  readonly only: readonly string[];
  readonly measures: { toJSON(): readonly MeasuredRow[] } | readonly MeasuredRow[];
}

/** Writes the figures that a run has kept into the document. */
export async function publishFile(file: string): Promise<void> {
  const results = JSON.parse(await readFile(file, 'utf8')) as Results & { readonly measures: readonly MeasuredRow[] };
  const measures = Measures.of(results.measures);
  await writeFile(PAGE, published(await readFile(PAGE, 'utf8'), `${introduction(results)}\n\n${markdown(measures)}`));
}

/** The document with another content of its section of figures. */
export function published(document: string, figures: string): string {
  const section = /(?<=^## Figures\n).*?(?=^## )/ms;
  if (!section.test(document)) throw new Error('the document has no section "Figures" with another one behind it');
  return document.replace(section, () => `\n${figures}\n\n`);
}

export function markdown(measures: Measures): string {
  const [head = [], ...lines] = cells(measures);
  const rule = head.map((_, at) => (at < 2 || at === head.length - 1 ? '---' : '--:'));
  return [head, rule, ...lines].map((line) => `| ${line.join(' | ')} |`).join('\n');
}

function introduction({ began, machine, loads, rounds, isQuick, only }: Results): string {
  const options = [...(isQuick ? ['--quick'] : []), ...(only.length > 0 ? [`--only ${only.join(',')}`] : [])];
  const day = new Date(began).toISOString().slice(0, 10);
  const load = loads.map((value) => value.toFixed(1)).join(', ');
  return `One run of \`npm run bench${options.length > 0 ? ` -- ${options.join(' ')}` : ''}\` on ${day}: ${machine.cores} × ${machine.processor}, Node ${machine.node}, loopback. Medians of up to ${rounds} rounds, with the
least and the greatest value. The machine's load before the rounds and at the end was ${load}.`;
}
