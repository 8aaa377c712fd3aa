import { globSync, readFileSync } from 'node:fs';
import { dirname, join, sep } from 'node:path';

/** One TypeScript file under `src/`, read once. */
export interface SourceFile {
  /** With slashes, from the top of the project: `src/oci/digest.ts`. */
  readonly path: string;
  /** The directory under `src/`, or the name of a file that lies directly in it: `oci`, `events`. */
  readonly room: string;
  readonly text: string;
  readonly lines: readonly string[];
  /** What it imports or exports from; other source files as paths like `path`. */
  readonly imports: readonly string[];
}

export interface LongFunction {
  /** Counted from 1. */
  readonly line: number;
  readonly length: number;
}

const FROM = /^\s*(?:import|export)\b[^'"`;]*?\bfrom\s+'([^']+)'/gm;
const BARE = /^\s*import\s+'([^']+)'/gm;
const DYNAMIC = /\bimport\(\s*'([^']+)'/g;

const NOT_CODE = /\/\*[\s\S]*?\*\/|\/\/.*|'(?:\\.|[^'\\\n])*'|"(?:\\.|[^"\\\n])*"|`(?:\\.|[^`\\])*`/g;

/** Every source file of the project. */
export function sourceFiles(): SourceFile[] {
  const paths = globSync('src/**/*.ts').map((path) => path.split(sep).join('/'));
  return paths.sort().map((path) => sourceFile(path, readFileSync(path, 'utf8')));
}

export function sourceFile(path: string, text: string): SourceFile {
  const room = path.split('/')[1]?.replace(/\.ts$/, '') ?? '';
  const lines = text.trimEnd().split('\n');
  return { path, room, text, lines, imports: importsOf(path, text) };
}

function importsOf(path: string, text: string): string[] {
  const found = [FROM, BARE, DYNAMIC].flatMap((form) => [...text.matchAll(form)].map((match) => match[1] ?? ''));
  return found.map((specifier) => {
    if (!specifier.startsWith('.')) return specifier;
    const target = join(dirname(path), specifier).split(sep).join('/');
    return target.startsWith('src/') ? target : specifier;
  });
}

/** `node:fs/promises` → `node:fs`, `@scope/name/part` → `@scope/name`. */
export function packageOf(specifier: string): string {
  const parts = specifier.split('/');
  return parts.slice(0, specifier.startsWith('@') ? 2 : 1).join('/');
}

/** The text without comments, strings and templates. */
export function codeOf(text: string): string {
  return text.replace(NOT_CODE, "''");
}

const CONTROL_FLOW =
  /^\s*(?:\} )?(?:if|for|while|switch|else|try|catch|finally|do|class|interface|type|case|default|static \{)\b/;
const OPENS = /(?:=> \{|\)(?:: [^=]+)? \{)$/;

/** Functions longer than `limit` lines. Relies on the formatter: a body ends at the first `}` indented like its head. */
export function longFunctions(lines: readonly string[], limit: number): LongFunction[] {
  return lines.flatMap((head, index) => {
    if (!OPENS.test(head) || CONTROL_FLOW.test(head)) return [];
    const indent = head.length - head.trimStart().length;
    const closing = `${' '.repeat(indent)}}`;
    const end = lines.findIndex((line, at) => at > index && line.startsWith(closing));
    const length = end - index + 1;
    return length > limit ? [{ line: index + 1, length }] : [];
  });
}

/** The lines that hold more than a comment. */
export function codeLines(text: string): number {
  const withoutComments = text.replace(/\/\*[\s\S]*?\*\/|^\s*\/\/.*$/gm, '');
  return withoutComments.split('\n').filter((line) => line.trim() !== '').length;
}

/** A circle of imports between files as the paths along it, or undefined. */
export function importCircle(files: readonly SourceFile[]): string[] | undefined {
  const byPath = new Map(files.map((file) => [file.path, file]));
  const done = new Set<string>();
  const walk = (path: string, trail: readonly string[]): string[] | undefined => {
    if (trail.includes(path)) return [...trail.slice(trail.indexOf(path)), path];
    if (done.has(path)) return undefined;
    for (const next of byPath.get(path)?.imports ?? []) {
      const circle = byPath.has(next) ? walk(next, [...trail, path]) : undefined;
      if (circle) return circle;
    }
    done.add(path);
    return undefined;
  };
  for (const { path } of files) {
    const circle = walk(path, []);
    if (circle) return circle;
  }
  return undefined;
}
