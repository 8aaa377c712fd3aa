import type { Edit } from './edit.ts';

/** What we did to one file. */
export interface Entry {
  readonly path: string;
  /** What is ours in it: all of it, the lines between marks, or a value in a list. */
  readonly part: Part;
  /** SHA-256 of the file as it was; undefined: there was none. Its copy lies beside the journal. */
  readonly before: string | undefined;
  /** SHA-256 of what we made of it; several while that is being changed. */
  readonly after: readonly string[];
}

export type Part =
  | { readonly kind: 'file' }
  | { readonly kind: 'block' }
  | { readonly kind: 'entry'; readonly key: string; readonly value: string };

/** What we did for one client; written before it is done. */
export interface Journal {
  /** Everything was done, the commands included. */
  readonly finished: boolean;
  /** Directories that were made, outer ones first. */
  readonly directories: readonly string[];
  readonly entries: readonly Entry[];
}

export const NOTHING_DONE: Journal = { finished: true, directories: [], entries: [] };

/** Nobody else's, so that it can go as a whole. */
export const JOURNAL_ROOT = '/var/lib/layover-setup';

/** Where the copy of a file lies, below the directory of the journal. */
export function copyName(path: string): string {
  return `before/${path.replaceAll('/', '%')}`;
}

export function partOf(edit: Edit): Part {
  return edit.kind === 'entry' ? { kind: 'entry', key: edit.key, value: edit.value } : { kind: edit.kind };
}

const HEADING = 'layover setup 1';

/** The script writes and reads the same lines. */
export function formatJournal({ finished, directories, entries }: Journal): string {
  const lines = entries.map(
    ({ part, before, after, path }) => `edit ${spelled(part)} ${before ?? '-'} ${after.join(',')} ${path}`,
  );
  const state = finished ? 'done' : 'unfinished';
  return [`${HEADING} ${state}`, ...directories.map((path) => `dir ${path}`), ...lines, ''].join('\n');
}

/** Throws when it is of another version, or damaged. */
export function parseJournal(path: string, text: string): Journal {
  const [first = '', ...lines] = text.trimEnd().split('\n');
  if (!first.startsWith(`${HEADING} `)) throw new Error(`${path} was written by another version of layover setup`);
  const directories = lines.flatMap((line) => (line.startsWith('dir ') ? [line.slice('dir '.length)] : []));
  const entries = lines.filter((line) => !line.startsWith('dir ')).map((line) => parseEntry(path, line));
  return { finished: first.endsWith(' done'), directories, entries };
}

function parseEntry(journal: string, line: string): Entry {
  const [, part = '', before = '', after = '', path = ''] = /^edit (\S+) (\S+) (\S+) (\/.*)$/.exec(line) ?? [];
  const [kind, key, ...value] = part.split(':');
  const isKnown = kind === 'file' || kind === 'block' || (kind === 'entry' && key !== undefined);
  if (path === '' || !isKnown) throw new Error(`${journal} is damaged: ${line}`);
  return {
    path,
    part: kind === 'entry' ? { kind, key: key ?? '', value: value.join(':') } : { kind },
    before: before === '-' ? undefined : before,
    after: after.split(','),
  };
}

function spelled(part: Part): string {
  return part.kind === 'entry' ? `entry:${part.key}:${part.value}` : part.kind;
}
