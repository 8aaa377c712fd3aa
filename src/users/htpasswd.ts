/** A user's line of an htpasswd file. */
export interface Entry {
  /** bcrypt, `$2b$12$` and so on. */
  readonly hash: string;
  /** The exponent of bcrypt's rounds. */
  readonly cost: number;
}

/** Above it, one password takes several seconds of computing. */
const MAX_COST = 15;
const BCRYPT = /^\$2[aby]\$(\d\d)\$[./A-Za-z0-9]{53}$/;
/** What can stand in a line of the file and in a line of a log. */
const NAME = /^[^\s:#\p{C}][^\s:\p{C}]{0,127}$/u;
const NAME_RULE = 'up to 128 characters without blanks and colons, and no # in front';

/**
 * Reads an htpasswd file of bcrypt entries. Throws for anything else with the file, the line and what was expected, and
 * without what stands there: it may be a password.
 */
export function parseHtpasswd(text: string, file: string): ReadonlyMap<string, Entry> {
  const entries = new Map<string, Entry>();
  for (const [index, raw] of text.split('\n').entries()) {
    const line = raw.trim();
    if (line === '' || line.startsWith('#')) continue;
    const objection = readLine(line, entries);
    if (objection !== undefined) throw new Error(`${file}:${index + 1}: ${objection}`);
  }
  return entries;
}

/** Adds what a line says to `entries`, or returns what is wrong with it. */
function readLine(line: string, entries: Map<string, Entry>): string | undefined {
  const colon = line.indexOf(':');
  const [name, hash] = [line.slice(0, Math.max(colon, 0)), line.slice(colon + 1)];
  if (colon < 0) return 'expected a line name:hash';
  if (!NAME.test(name)) return `expected a user name of ${NAME_RULE}`;
  const cost = Number(BCRYPT.exec(hash)?.[1]);
  if (Number.isNaN(cost)) {
    return `expected the password of ${name} as bcrypt ($2a$, $2b$ or $2y$): write it by "layover user add ${name}" or "htpasswd -B"`;
  }
  if (cost < 4 || cost > MAX_COST) return `expected a bcrypt cost from 4 to ${MAX_COST} for ${name}, got ${cost}`;
  if (entries.has(name)) return `expected ${name} once, it stands further up already`;
  entries.set(name, { hash, cost });
  return undefined;
}

/** Why `name` can be no user's; `undefined` if it can. */
export function objectionToName(name: string): string | undefined {
  return NAME.test(name) ? undefined : `a user name has ${NAME_RULE}`;
}

/** bcrypt looks at no more bytes than these, so that longer passwords would be taken for each other. */
const MAX_BYTES = 72;

/** Why `password` can be no user's; `undefined` if it can. */
export function objectionToPassword(password: string): string | undefined {
  if (password === '') return 'the password is empty';
  if (password.includes('\0')) return 'the password contains a NUL character';
  if (Buffer.byteLength(password) > MAX_BYTES)
    return `the password is longer than ${MAX_BYTES} bytes, more than bcrypt looks at`;
  return undefined;
}

/** The text of the file with the line of `name` in place of an earlier one, or without it when `hash` is undefined. */
export function withUser(text: string, name: string, hash: string | undefined): string {
  const lines = text.split('\n').filter((line) => line !== '');
  const at = lines.findIndex((line) => line.trim().startsWith(`${name}:`));
  const entry = hash === undefined ? [] : [`${name}:${hash}`];
  if (at < 0) lines.push(...entry);
  else lines.splice(at, 1, ...entry);
  return lines.map((line) => `${line}\n`).join('');
}
