import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { file, outcomesOf } from './outcome.ts';
import { publish, render } from './render.ts';
import { type Result, rows, titleOf } from './table.ts';

/** Keeps the results of all rows and writes the README's tables from them; throws when one is missing or has failed. */
export async function publishResults(results: readonly Result[]): Promise<void> {
  const byTitle = Map.groupBy(results, titleOf);
  const titles = rows().map(titleOf);
  const missing = titles.filter((title) => !byTitle.has(title));
  if (missing.length > 0) throw new Error(`not run:\n${missing.join('\n')}`);
  const outcomes = outcomesOf(titles.flatMap((title) => byTitle.get(title) ?? []));
  const failed = outcomes.filter((outcome) => outcome.failed.length > 0).map(titleOf);
  if (failed.length > 0) throw new Error(`failed:\n${failed.join('\n')}`);
  await writeFile(file, outcomes.map((outcome) => `${JSON.stringify(outcome)}\n`).join(''));
  const readme = join(import.meta.dirname, '../../README.md');
  await writeFile(readme, publish(await readFile(readme, 'utf8'), render(outcomes)));
}
