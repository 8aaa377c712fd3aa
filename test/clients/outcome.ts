import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Result, type RowName, titleOf } from './table.ts';

/** The cells of a row, by how they ended; each is named by its step. */
export interface Outcome extends RowName {
  readonly version: string;
  readonly steps: readonly string[];
  /** Why there was nothing to try. */
  readonly cannot: Readonly<Record<string, string>>;
  /** What has to be known about cells that passed. */
  readonly remarks: Readonly<Record<string, string>>;
  readonly failed: readonly string[];
}

/** The results that the README's table is made of, a row per line. */
export const file = join(import.meta.dirname, 'results.jsonl');

export async function readOutcomes(): Promise<Outcome[]> {
  const lines = (await readFile(file, 'utf8')).trimEnd().split('\n');
  return lines.map((line) => JSON.parse(line) as Outcome);
}

/** Gathers the cells of a run into rows, in the order in which they first appear. */
export function outcomesOf(results: readonly Result[]): Outcome[] {
  return Map.groupBy(results, titleOf)
    .values()
    .map((cells) => outcomeOf(cells))
    .toArray();
}

function outcomeOf(cells: readonly Result[]): Outcome {
  const [first] = cells;
  if (first === undefined) throw new Error('a row without a cell');
  const { client, generation, door, upstream, version = '' } = first;
  return {
    client,
    generation,
    door,
    upstream,
    version: /\d+(?:\.\d+)+/.exec(version)?.[0] ?? version,
    steps: cells.map(({ step }) => step),
    cannot: Object.fromEntries(cells.flatMap(({ step, cannot }) => (cannot === undefined ? [] : [[step, cannot]]))),
    remarks: Object.fromEntries(cells.flatMap(({ step, remark }) => (remark === undefined ? [] : [[step, remark]]))),
    failed: cells.filter(({ error }) => error !== undefined).map(({ step }) => step),
  };
}
