import type { Backend } from '../store/backend.ts';

const PREFIX = 'catalog/';
const KNOWN = 10_000;
const EMPTY = new Uint8Array();

/** Which repositories are hosted, in byte order, as an empty object for each. */
export class Catalog {
  readonly #backend: Backend;
  /** What is known to be there. */
  readonly #known = new Set<string>();

  constructor(backend: Backend) {
    this.#backend = backend;
  }

  async add(name: string): Promise<void> {
    if (this.#known.has(name)) return;
    await this.#backend.put(keyOf(name), EMPTY, { condition: { ifAbsent: true }, durable: true });
    if (this.#known.size >= KNOWN) this.#known.clear();
    this.#known.add(name);
  }

  async has(name: string): Promise<boolean> {
    return this.#known.has(name) || (await this.#backend.stat(keyOf(name))) !== undefined;
  }

  /** Up to `limit` names that sort after `after`. */
  async list(limit: number, after: string | undefined): Promise<readonly string[]> {
    const keys = await this.#backend.list(PREFIX, { limit, ...(after !== undefined && { after: keyOf(after) }) });
    return keys.map((key) => swap(key.slice(PREFIX.length), BACK));
  }
}

/**
 * One component, so that a repository may have the beginning of another's name. No character lies between `.` and `0`
 * but the slash, so those that sort before it move down to make room: names and keys sort alike.
 */
const THERE = new Map([
  ['-', '+'],
  ['.', ','],
  ['/', '-'],
]);
const BACK = new Map([...THERE].map(([from, to]) => [to, from]));

function keyOf(name: string): string {
  return PREFIX + swap(name, THERE);
}

function swap(text: string, letters: ReadonlyMap<string, string>): string {
  return text.replace(/[-+.,/]/g, (letter) => letters.get(letter) ?? letter);
}
