import { isDeepStrictEqual } from 'node:util';
import { Unsuitable } from './unsuitable.ts';

/** The text of a JSON object with a value in front of the list of strings at `key`; the rest keeps its bytes. */
export function putEntry(path: string, text: string, key: string, value: string): string {
  const wanted = JSON.stringify(value);
  if (/^\s*(\{\s*\})?\s*$/.test(text)) return `{\n  "${key}": [${wanted}]\n}\n`;
  const object = parsed(path, text);
  const list = object[key];
  if (list === undefined) {
    const [open = '', space = ''] = /^\s*\{(\s*)/.exec(text) ?? [];
    const at = open.length - space.length;
    return `${text.slice(0, at)}${space}"${key}": [${wanted}],${text.slice(at)}`;
  }
  if (!Array.isArray(list)) throw new Unsuitable(`${path}: ${key} is no list: write [${wanted}] there`);
  if (list.includes(value)) return text;
  const expected = { ...object, [key]: [value, ...list] };
  for (const { 0: head, index } of text.matchAll(new RegExp(`"${key}"\\s*:\\s*\\[`, 'g'))) {
    const result = intoList(text, index + head.length, wanted);
    if (isDeepStrictEqual(parsed(path, result), expected)) return result;
  }
  throw new Unsuitable(`${path}: write ${wanted} in front of ${key} yourself`);
}

/** The text with an element in front of those that begin at an offset. */
function intoList(text: string, at: number, element: string): string {
  const [space = ''] = /^\s*/.exec(text.slice(at)) ?? [];
  const rest = text.slice(at + space.length);
  const inserted = rest.startsWith(']') ? element : `${space}${element},${space === '' ? ' ' : space}`;
  return text.slice(0, at) + inserted + rest;
}

/** The text without that value, and without a list that would be left empty; undefined when it cannot be taken out. */
export function takeEntry(text: string, key: string, value: string): string | undefined {
  const wanted = escaped(JSON.stringify(value));
  const member = `"${key}"\\s*:\\s*\\[\\s*${wanted}\\s*\\]`;
  const forms = [`\\s*${member}\\s*,`, `\\s*,\\s*${member}`, `\\s*${member}\\s*`];
  for (const form of [...forms, `${wanted}\\s*,\\s*`, `\\s*,\\s*${wanted}`]) {
    const result = text.replace(new RegExp(form), '');
    if (result !== text && isWithout(text, result, key, value)) return result;
  }
  return undefined;
}

function isWithout(text: string, result: string, key: string, value: string): boolean {
  try {
    const { [key]: list, ...others } = JSON.parse(text);
    const rest = list.filter((one: unknown) => one !== value);
    return isDeepStrictEqual(JSON.parse(result), rest.length === 0 ? others : { ...others, [key]: rest });
  } catch {
    return false;
  }
}

function parsed(path: string, text: string): Readonly<Record<string, unknown>> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new Unsuitable(`${path} is not valid JSON, comments included: mend it first (${reason})`, { cause });
  }
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
  throw new Unsuitable(`${path}: expected a JSON object`);
}

function escaped(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\/]/g, '\\$&');
}
