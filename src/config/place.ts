import { type Alias, type Document, isAlias, isMap, isPair, isScalar, isSeq, type Node, type YAMLMap } from 'yaml';
import type { Mistake } from './error.ts';
import { formatPath, type Path } from './path.ts';

/** A value of the file with where it stands. Offsets count UTF-16 units from the start of the text. */
export interface Place {
  /** Maps have no prototype; `undefined` when nothing is written after the key. */
  readonly value: unknown;
  readonly offset: number;
  readonly keyOffset: number;
  readonly children: ReadonlyMap<string, Place>;
  /** The environment variable that says it, when it is not the file. */
  readonly variable?: string | undefined;
}

const DEEPEST = 64;
/** Aliases of aliases grow without bound, so what is read is counted after they are followed. */
const MOST_VALUES = 20_000;
const MERGE = '<<';

/** The tree of places below `node`, and what cannot be read of it. */
export function readPlaces(document: Document, node: Node | null): { root: Place; mistakes: readonly Mistake[] } {
  const reader = new PlaceReader(document);
  return { root: reader.read(node, 0, []), mistakes: reader.mistakes };
}

class PlaceReader {
  readonly mistakes: Mistake[] = [];
  readonly #document: Document;
  /** Resolving an alias walks the whole document. */
  readonly #targets = new Map<Alias, unknown>();
  #left = MOST_VALUES;

  constructor(document: Document) {
    this.#document = document;
  }

  read(node: unknown, keyOffset: number, path: Path): Place {
    const offset = startOf(node) ?? keyOffset;
    const place = { value: undefined, offset, keyOffset, children: new Map() };
    if (--this.#left < 0 || path.length > DEEPEST) return this.#tooMuch(place, path);
    if (isAlias(node)) return this.#readAlias(place, node, path);
    if (isMap(node)) return this.#readMap(place, node, path);
    if (isSeq(node)) {
      const items = node.items.map((item, index) => this.read(item, startOf(item) ?? offset, [...path, index]));
      return {
        ...place,
        value: items.map((item) => item.value),
        children: new Map(items.map((item, index) => [String(index), item])),
      };
    }
    if (!isScalar(node) || (node.type === 'PLAIN' && node.source === '')) return place;
    return { ...place, value: node.value };
  }

  #readMap(place: Place, node: YAMLMap, path: Path): Place {
    const children = new Map<string, Place>();
    const merged: Place[] = [];
    for (const pair of node.items) {
      const at = startOf(pair.key) ?? place.offset;
      if (!isScalar(pair.key)) {
        this.#report(at, path, 'a plain key', 'a list, a map or an alias as a key');
        continue;
      }
      const key = String(pair.key.value);
      const child = this.read(pair.value, at, [...path, key]);
      if (key === MERGE && pair.key.type === 'PLAIN') merged.push(child);
      else if (children.has(key)) this.#report(at, [...path, key], 'each key once', 'it a second time');
      else children.set(key, child);
    }
    for (const source of merged) this.#merge(children, source, path);
    const value: Record<string, unknown> = Object.create(null);
    for (const [key, child] of children) value[key] = child.value;
    return { ...place, value, children };
  }

  /** What is written beside a merge key wins over what it brings, an earlier source over a later one. */
  #merge(children: Map<string, Place>, source: Place, path: Path): void {
    const sources = Array.isArray(source.value) ? [...source.children.values()] : [source];
    for (const { value, offset, children: brought } of sources) {
      if (typeof value !== 'object' || value === null || Array.isArray(value)) {
        this.#report(offset, [...path, MERGE], 'a map or a list of maps', 'something else');
        continue;
      }
      for (const [key, child] of brought) if (!children.has(key)) children.set(key, child);
    }
  }

  #readAlias(place: Place, alias: Alias, path: Path): Place {
    if (!this.#targets.has(alias)) this.#targets.set(alias, alias.resolve(this.#document));
    const target = this.#targets.get(alias);
    if (target === undefined) {
      this.#report(place.offset, path, 'the name of an anchor above', 'an unknown one');
      return place;
    }
    return { ...this.read(target, place.keyOffset, path), keyOffset: place.keyOffset };
  }

  #tooMuch(place: Place, path: Path): Place {
    if (this.#left !== Number.NEGATIVE_INFINITY) {
      const got = 'more, or an alias that holds itself';
      this.#report(place.offset, path.slice(0, 1), `at most ${MOST_VALUES} values, ${DEEPEST} levels deep`, got);
    }
    this.#left = Number.NEGATIVE_INFINITY;
    return place;
  }

  #report(offset: number, path: Path, expected: string, got: string): void {
    this.mistakes.push({ offset, path: formatPath(path), expected, got });
  }
}

function startOf(node: unknown): number | undefined {
  if (isPair(node)) return startOf(node.key);
  return isScalar(node) || isMap(node) || isSeq(node) || isAlias(node) ? node.range?.[0] : undefined;
}
