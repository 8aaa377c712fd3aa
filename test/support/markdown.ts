import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

const ROOT = join(import.meta.dirname, '..', '..');

/** A document of the project, by its path from the root. */
export function readDocument(path: string): Promise<string> {
  return readFile(join(ROOT, path), 'utf8');
}

/** The content of the one fenced block that is marked `test=<name>` after its language. */
export function markedBlock(document: string, name: string): string {
  const blocks = [...document.matchAll(/^```\w+ test=(\w+)\n(.*?)^```$/gms)].filter(([, mark]) => mark === name);
  const [block, ...others] = blocks;
  if (block === undefined || others.length > 0) throw new Error(`${blocks.length} blocks are marked test=${name}`);
  return block[2] ?? '';
}

/** The document without what stands in its fenced blocks. */
export function prose(document: string): string {
  return document.replaceAll(/^```.*?^```$/gms, '');
}

/** Targets of the links, images included. */
export function linksOf(document: string): string[] {
  return [...prose(document).matchAll(/\]\(([^)\s]+)\)/g)].map(([, target = '']) => target);
}

/** The fragments under which the headings of a document can be linked, as GitHub makes them. */
export function anchorsOf(document: string): string[] {
  return [...prose(document).matchAll(/^#+ (.*)$/gm)].map(([, heading = '']) =>
    heading
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N}\s_-]/gu, '')
      .replaceAll(' ', '-'),
  );
}
