import { type ConfigDocument, readDocument } from '../config/document.ts';
import { ConfigError } from '../config/error.ts';
import { formatPath, type Path } from '../config/path.ts';
import type { Place } from '../config/place.ts';

/** Something that was not taken over as it was, in one line: `file:line:column path: what to do instead`. */
interface Remark {
  readonly offset: number;
  readonly line: string;
}

/**
 * A value in another program's configuration file (YAML, or JSON, which is YAML too). Keys are paths such as
 * `http.tls.cert`; case does not matter. What is neither read nor remarked on is found in the end by {@link finish}.
 */
export class Foreign {
  readonly #file: OpenFile;
  readonly #place: Place;
  readonly #path: Path;

  private constructor(file: OpenFile, place: Place, path: Path) {
    this.#file = file;
    this.#place = place;
    this.#path = path;
  }

  /** Throws a {@link ConfigError} when it cannot be read at all; the message has no word of the file, which may hold secrets. */
  static read(name: string, text: string): Foreign {
    const document = readDocument(text);
    const [first] = document.mistakes;
    if (first) {
      const { path, expected, got } = first;
      const isSyntax = path === '(syntax)';
      const what = isSyntax
        ? 'expected JSON or YAML, got something else from here on'
        : `expected ${expected}, got ${got}`;
      throw new ConfigError([`${name}:${document.position(first.offset)} ${path}: ${what}`]);
    }
    const file = { name, document, seen: new Set<Place>(), remarks: [], mistakes: [] };
    if (isTree(document.root)) return new Foreign(file, document.root, []);
    throw new ConfigError([`${name}:1:1 (document): expected a map, got ${kindOf(document.root.value)}`]);
  }

  has(key: string): boolean {
    return this.#find(key) !== undefined;
  }

  /** A text, or a number as one. */
  text(key: string): string | undefined {
    const found = this.#find(key);
    if (found === undefined) return undefined;
    found.#see();
    const { value } = found.#place;
    if (typeof value === 'string' || typeof value === 'number') return String(value);
    return found.#expect('a text');
  }

  flag(key: string): boolean | undefined {
    const found = this.#find(key);
    if (found === undefined) return undefined;
    found.#see();
    const value = String(found.#place.value).toLowerCase();
    return value === 'true' ? true : value === 'false' ? false : found.#expect('true or false');
  }

  /** The items of a list, which are read by themselves; none where there is no list. */
  items(key: string): readonly Foreign[] {
    const found = this.#find(key);
    if (found === undefined) return [];
    if (!Array.isArray(found.#place.value)) {
      found.#see();
      return found.#expect('a list') ?? [];
    }
    return [...found.#place.children.values()].map(
      (place, index) => new Foreign(found.#file, place, [...found.#path, index]),
    );
  }

  /** The texts of a list. */
  texts(key: string): readonly string[] {
    return this.items(key).flatMap((item) => {
      item.#see();
      const { value } = item.#place;
      return typeof value === 'string' ? value : (item.#expect('a text') ?? []);
    });
  }

  /** Says what becomes of a key, when it is there, and takes it and all below as dealt with. */
  remark(key: string, advice: string): void {
    const found = key === '' ? this : this.#find(key);
    if (found === undefined) return;
    if (key !== '') found.#see();
    found.#say(advice);
  }

  remarks(advices: Readonly<Record<string, string>>): void {
    for (const [key, advice] of Object.entries(advices)) this.remark(key, advice);
  }

  /** Takes keys as dealt with that mean nothing here. */
  ignore(...keys: readonly string[]): void {
    for (const key of keys) {
      const found = this.#find(key);
      if (found !== undefined) found.#see();
    }
  }

  /** Every remark in the file's order, those about keys that nobody asked for included. Throws a {@link ConfigError} with all mistakes. */
  finish(): readonly string[] {
    this.#findUnseen();
    const { mistakes, remarks } = this.#file;
    if (mistakes.length > 0) throw new ConfigError(inOrder(mistakes));
    return inOrder(remarks);
  }

  /** Undefined where it is not there, or nothing stands behind it. */
  #find(key: string): Foreign | undefined {
    let [place, path] = [this.#place, this.#path];
    for (const name of key.split('.')) {
      const spelled = [...place.children.keys()].find((child) => child.toLowerCase() === name.toLowerCase()) ?? name;
      const child = place.children.get(spelled);
      if ((child?.value ?? undefined) === undefined || child === undefined) return undefined;
      [place, path] = [child, [...path, spelled]];
    }
    return new Foreign(this.#file, place, path);
  }

  #see(): void {
    this.#file.seen.add(this.#place);
  }

  #expect(expected: string): undefined {
    this.#file.mistakes.push(this.#remarkOf(`expected ${expected}, got ${kindOf(this.#place.value)}`));
  }

  #say(text: string): void {
    this.#file.remarks.push(this.#remarkOf(text));
  }

  #remarkOf(text: string): Remark {
    const { offset } = this.#place;
    const { name, document } = this.#file;
    return { offset, line: `${name}:${document.position(offset)} ${formatPath(this.#path)}: ${text}` };
  }

  /** Whether anything in here was seen; what was not is remarked on, as high up as it can be said. */
  #findUnseen(): void {
    for (const [key, place] of this.#place.children) {
      if (this.#file.seen.has(place) || (place.value ?? undefined) === undefined) continue;
      const step = Array.isArray(this.#place.value) ? Number(key) : key;
      const child = new Foreign(this.#file, place, [...this.#path, step]);
      if (child.#isTouched()) child.#findUnseen();
      else if (!isEmpty(place)) child.#say('not known here; nothing was taken from it');
    }
  }

  #isTouched(): boolean {
    const isTouched = (place: Place): boolean =>
      [...place.children.values()].some((child) => this.#file.seen.has(child) || isTouched(child));
    return isTouched(this.#place);
  }
}

interface OpenFile {
  readonly name: string;
  readonly document: ConfigDocument;
  readonly seen: Set<Place>;
  readonly remarks: Remark[];
  readonly mistakes: Remark[];
}

const inOrder = (remarks: readonly Remark[]): readonly string[] =>
  remarks.toSorted((a, b) => a.offset - b.offset).map(({ line }) => line);

const isTree = ({ value }: Place): boolean => typeof value === 'object' && value !== null && !Array.isArray(value);

const isEmpty = (place: Place): boolean => typeof place.value === 'object' && place.children.size === 0;

/** Never the value itself, which may be a secret. */
function kindOf(value: unknown): string {
  if (value === undefined || value === null) return 'nothing';
  return Array.isArray(value) ? 'a list' : typeof value === 'object' ? 'a map' : `a ${typeof value}`;
}
