/** Levels of objects and arrays; no manifest has more than a handful. */
const MAX_DEPTH = 32;
/** Of all objects together: more than ten thousand descriptors have. */
const MAX_KEYS = 100_000;

/** Keys that decide what a manifest means, by how a reader that ignores case may spell them. */
const MEANINGFUL = new Map(
  [
    ...['schemaVersion', 'mediaType', 'artifactType', 'config', 'layers', 'manifests', 'blobs', 'subject'],
    ...['annotations', 'digest', 'size', 'urls', 'data', 'platform', 'fsLayers', 'signatures'],
  ].map((key) => [fold(key), key]),
);
const DESCRIPTORS = new Set(['config', 'layers', 'manifests', 'blobs', 'subject']);

/** An object or array that is open where the text is being read; an object has keys. */
interface Level {
  readonly keys?: Set<string>;
  /** The key under which it stands, or its array does. */
  readonly name: string;
}

/**
 * Why readers of JSON may disagree on what `text` says: a key that is there twice, or that another reader (Go's
 * encoding/json ignores case) takes for one that has a meaning; or why it is no manifest at all. The text need not be
 * JSON, which is for others to find out.
 */
export function objectionTo(text: string): string | undefined {
  const levels: Level[] = [];
  let key = '';
  let count = 0;
  for (let at = 0; at < text.length; at += 1) {
    const found = text[at];
    if (found === '{' || found === '[') {
      const above = levels.at(-1);
      const name = above === undefined || above.keys !== undefined ? key : above.name;
      levels.push(found === '{' ? { name, keys: new Set() } : { name });
      if (levels.length > MAX_DEPTH) return `it has more than ${MAX_DEPTH} levels`;
    } else if (found === '}' || found === ']') levels.pop();
    else if (found === '"') {
      const end = endOfString(text, at);
      if (isKey(text, end)) {
        count += 1;
        if (count > MAX_KEYS) return `it has more than ${MAX_KEYS} keys`;
        key = textOf(text.slice(at, end));
        const objection = objectionToKey(levels, key);
        if (objection !== undefined) return objection;
      }
      at = end - 1;
    }
  }
  return undefined;
}

function objectionToKey(levels: readonly Level[], key: string): string | undefined {
  const { keys, name = '' } = levels.at(-1) ?? {};
  // Users choose the keys of annotations, where case may tell them apart.
  const entry = name === 'annotations' ? key : fold(key);
  if (keys?.has(entry) === true) return `the key ${shown(key)} is there more than once`;
  keys?.add(entry);
  const isMeaningful = levels.length === 1 || (levels.length <= 3 && DESCRIPTORS.has(name));
  const meant = isMeaningful ? MEANINGFUL.get(fold(key)) : undefined;
  return meant === undefined || meant === key ? undefined : `the key ${shown(key)} can be taken for ${shown(meant)}`;
}

/** As readers that ignore case compare; with them `ſ` is an s, and the sign of Kelvin a k. */
function fold(key: string): string {
  return key.toUpperCase().toLowerCase();
}

function endOfString(text: string, start: number): number {
  for (let at = start + 1; ; at += 1) {
    at = text.indexOf('"', at);
    if (at < 0) return text.length;
    let backslashes = 0;
    while (text[at - 1 - backslashes] === '\\') backslashes += 1;
    if (backslashes % 2 === 0) return at + 1;
  }
}

function isKey(text: string, end: number): boolean {
  let at = end;
  while (text[at] === ' ' || text[at] === '\n' || text[at] === '\t' || text[at] === '\r') at += 1;
  return text[at] === ':';
}

function textOf(quoted: string): string {
  if (!quoted.includes('\\')) return quoted.slice(1, -1);
  try {
    return String(JSON.parse(quoted));
  } catch {
    return quoted;
  }
}

function shown(key: string): string {
  return JSON.stringify(key.length > 40 ? `${key.slice(0, 40)}…` : key);
}
