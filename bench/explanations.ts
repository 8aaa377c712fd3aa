import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Measures, Row } from './measures.ts';

export const PAGE = join(import.meta.dirname, '..', 'docs', 'benchmarks.md');
const HEADING = '## Goals that are not met';

/** How a document names a row: `warm layers, 8 streams: MB/s`. */
export function title({ name, unit }: Row): string {
  return `${name}: ${unit}`;
}

/** The titles of the rows that the document explains: what stands bold at the beginning of the section's entries. */
export function explained(text: string): Set<string> {
  const [, after = ''] = text.split(`\n${HEADING}\n`);
  const [section = ''] = after.split(/\n## /);
  return new Set(
    [...section.matchAll(/^- ((?:\*\*.+?\*\*(?:, )?)+)/gm)].flatMap(([, titles = '']) => {
      return [...titles.matchAll(/\*\*(.+?)\*\*/g)].map(([, one = '']) => one);
    }),
  );
}

export async function explainedInDocument(): Promise<Set<string>> {
  return explained(await readFile(PAGE, 'utf8'));
}

/** The titles of the rows whose goal no round reached and that nobody explains. */
export function unexplained(measures: Measures, known: ReadonlySet<string>): string[] {
  const missed = measures.rows.filter((row) => measures.verdict(row) === 'missed');
  return missed.map(title).filter((one) => !known.has(one));
}
