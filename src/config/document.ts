import { LineCounter, parseDocument, stringify } from 'yaml';
import type { Mistake } from './error.ts';
import { type Place, readPlaces } from './place.ts';

/** One YAML file, read as far as it can be read. */
export interface ConfigDocument {
  readonly root: Place;
  readonly mistakes: readonly Mistake[];
  /** `line:column` of an offset, both from 1. */
  position(offset: number): string;
}

/** Reads one YAML 1.2 document of any shape: aliases are followed, merge keys (`<<`) merged, mistakes collected. */
export function readDocument(text: string): ConfigDocument {
  const lineCounter = new LineCounter();
  const document = parseDocument(text, { lineCounter, prettyErrors: false, uniqueKeys: false });
  const { root, mistakes } = readPlaces(document, document.contents);
  const syntax = new Map<number, Mistake>();
  for (const { pos, message } of [...document.errors, ...document.warnings]) {
    const { line } = lineCounter.linePos(pos[0]);
    // One slip makes the parser complain about every token after it.
    if (syntax.has(line)) continue;
    syntax.set(line, { offset: pos[0], path: '(syntax)', expected: 'YAML', got: `an error: ${message}` });
  }
  return {
    root,
    mistakes: [...syntax.values(), ...mistakes],
    position: (offset) => {
      const { line, col } = lineCounter.linePos(offset);
      return `${Math.max(line, 1)}:${Math.max(col, 1)}`;
    },
  };
}

/** YAML that {@link readDocument} reads as this value, without folded lines. */
export function writeDocument(value: unknown): string {
  return stringify(value, { lineWidth: 0 });
}
