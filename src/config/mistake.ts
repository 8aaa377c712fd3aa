import type { Mistake } from './error.ts';
import { formatPath, type Path } from './path.ts';
import type { Place } from './place.ts';
import { closest } from './spelling.ts';

const CHOICES = 'one of ';

/** What stands at `path` is wrong, or missing. `remark` follows the value that is there. */
export function wrongValue(root: Place, path: Path, expected: string, remark = ''): Mistake {
  const { place, found } = locate(root, path);
  const value = found ? place.value : undefined;
  const hint = typeof value === 'string' ? suggestion(value, expected) : '';
  return {
    offset: value === undefined ? place.keyOffset : place.offset,
    path: formatPath(path),
    expected,
    got: (isSecret(path) ? kindOf(value) : shown(value)) + remark + hint,
    variable: place.variable,
  };
}

/** The key that ends `path` is wrong. */
export function wrongKey(root: Place, path: Path, expected: string): Mistake {
  const hint = suggestion(String(path.at(-1)), expected);
  const { place } = locate(root, path);
  return {
    offset: place.keyOffset,
    path: formatPath(path),
    expected,
    got: shown(path.at(-1)) + hint,
    variable: place.variable,
  };
}

/** Whether the file says anything at `path`. */
export function isWritten(root: Place, path: Path): boolean {
  const { place, found } = locate(root, path);
  return found && place.value !== undefined;
}

/** The place at `path`, or the last one on the way to it. A scalar where a list may stand is its element 0. */
function locate(root: Place, path: Path): { readonly place: Place; readonly found: boolean } {
  let place = root;
  for (const key of path) {
    const child = place.children.get(String(key));
    if (child === undefined && !(key === 0 && typeof place.value === 'string')) return { place, found: false };
    place = child ?? place;
  }
  return { place, found: true };
}

function suggestion(word: string, expected: string): string {
  if (!expected.startsWith(CHOICES)) return '';
  const choice = closest(word, expected.slice(CHOICES.length).split(', '));
  return choice === undefined ? '' : ` (did you mean ${choice}?)`;
}

/** `one of a, b`: the wording that suggestions are taken from. */
export function oneOf(choices: Iterable<string>): string {
  return CHOICES + [...choices].join(', ');
}

/** A password may have slipped into any value beside the user name. */
function isSecret(path: Path): boolean {
  return path.includes('credentials') && !path.includes('serve') && !path.includes('repositories');
}

function shown(value: unknown): string {
  if (typeof value !== 'string')
    return typeof value === 'object' || value === undefined ? kindOf(value) : String(value);
  const text = value.replace(/^.*@/s, '…@');
  return JSON.stringify(text.length > 80 ? `${text.slice(0, 80)}…` : text);
}

function kindOf(value: unknown): string {
  if (value === undefined) return 'nothing';
  if (value === null) return 'null';
  if (typeof value === 'object') return Array.isArray(value) ? 'a list' : 'a map';
  return value === '' ? 'an empty string' : `a ${typeof value}`;
}
