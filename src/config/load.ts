import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import type * as z from 'zod';
import { crossCheck } from './checks.ts';
import type { Config } from './config.ts';
import { readDocument } from './document.ts';
import { readEnvironment } from './environment.ts';
import { ConfigError, type Mistake } from './error.ts';
import { defaultsFor, overlay } from './layers.ts';
import { isWritten, wrongKey, wrongValue } from './mistake.ts';
import type { Place } from './place.ts';
import { schema } from './schema.ts';
import { settle } from './settle.ts';

export interface ConfigSource {
  /** Relative to `cwd`. Without it `config/gateway.yaml`, which may be missing. */
  readonly file?: string;
  /** What stands in the file, where that was read before. */
  readonly text?: string;
  readonly env: NodeJS.ProcessEnv;
  readonly cwd: string;
}

const DEFAULT_FILE = 'config/gateway.yaml';

/** The environment over a file over the built-in defaults. Throws a {@link ConfigError} with every mistake of both. */
export async function loadConfig(source: ConfigSource): Promise<Config> {
  const file = source.file ?? DEFAULT_FILE;
  const document = readDocument(await readText(source));
  const environment = readEnvironment(source.env, document.root);
  const { root } = environment;
  const layers = [defaultsFor(root.value), root.value];
  const layered = layers.reduce(overlay);
  const parsed = schema.safeParse(layered);
  const all = [
    ...document.mistakes,
    ...environment.mistakes,
    ...crossCheck(root, layered),
    ...mistakesOf(root, parsed.error?.issues ?? []),
  ];
  if (all.length > 0 || !parsed.success) {
    all.sort((a, b) => a.offset - b.offset);
    throw new ConfigError(
      all.map(
        ({ offset, path, expected, got, variable }) =>
          `${variable ?? `${file}:${document.position(offset)}`} ${path}: expected ${expected}, got ${got}`,
      ),
    );
  }
  return settle(parsed.data, source.cwd, isWritten(root, ['listen', 'https']));
}

/** Throws a {@link ConfigError} when a file that was named cannot be read. */
export async function readText({ file, text, cwd }: ConfigSource): Promise<string> {
  if (text !== undefined) return text;
  try {
    return await readFile(resolve(cwd, file ?? DEFAULT_FILE), 'utf8');
  } catch (cause) {
    const code = cause instanceof Error && 'code' in cause ? String(cause.code) : String(cause);
    if (file === undefined && code === 'ENOENT') return '';
    throw new ConfigError([`${file ?? DEFAULT_FILE}:1:1 (file): expected a readable file, got ${code}`], { cause });
  }
}

function mistakesOf(root: Place, issues: readonly z.core.$ZodIssue[]): Mistake[] {
  return issues.flatMap((issue) => {
    if (issue.code === 'invalid_union') return mistakesOf(root, closestForm(issue));
    return issue.code === 'unrecognized_keys'
      ? issue.keys.map((key) => wrongKey(root, [...issue.path, key], issue.message))
      : [wrongValue(root, issue.path, issue.message)];
  });
}

/** Of several forms the one that was meant: that of the same type, or the first. */
function closestForm({ errors, path }: z.core.$ZodIssueInvalidUnion): z.core.$ZodIssue[] {
  const meant = errors.find((issues) => issues.some((issue) => issue.code !== 'invalid_type' || issue.path.length > 0));
  return (meant ?? errors[0] ?? []).map((issue) => ({ ...issue, path: [...path, ...issue.path] }));
}
