/** One object whose bytes are here. */
export interface InventoryObject {
  readonly id: number;
  /** Bytes. */
  readonly size: number;
  /** When it was last used; only the order counts. */
  readonly used: number;
  readonly isManifest: boolean;
}

/** What is here and who names whom, by position, in arrays that hold a million objects in some 30 MB. */
export interface Inventory {
  readonly ids: Float64Array<ArrayBuffer>;
  /** Bytes. */
  readonly sizes: Float64Array<ArrayBuffer>;
  /** When each was last used: itself, or by a use of something that it alone names. */
  readonly used: Float64Array<ArrayBuffer>;
  /** 1 for manifests. */
  readonly manifests: Uint8Array<ArrayBuffer>;
  /** The manifest at position `p` names `children[starts[p]]` to `children[starts[p + 1] - 1]`. */
  readonly starts: Uint32Array<ArrayBuffer>;
  readonly children: Uint32Array<ArrayBuffer>;
  /** How many manifests name each. */
  readonly named: Uint32Array<ArrayBuffer>;
  /** Manifests, and objects that nobody names: what was not used for longest first. */
  readonly order: Uint32Array<ArrayBuffer>;
  /** The positions of what must stay, as far as it was asked for. */
  readonly kept: Uint32Array<ArrayBuffer>;
  /** What was used after this was used in the last few seconds. */
  readonly recent: number;
}

/** Who names whom, by ids. */
export type Edge = readonly [parent: number, child: number];

/** What is gone through once, in a number that is known. */
export type Counted<Item> = Iterable<Item> & { readonly length: number };

/**
 * Puts together what is here. A use of what one manifest alone names counts for that manifest: its layers are still
 * coming when others have been asked for since. `objects` by rising id; edges from or to what is not among them do not
 * count.
 */
export function takeInventory(
  objects: Counted<InventoryObject>,
  edges: Counted<Edge>,
  kept: readonly number[] = [],
  recent = Infinity,
): Inventory {
  const ids = new Float64Array(objects.length);
  const sizes = new Float64Array(objects.length);
  const used = new Float64Array(objects.length);
  const manifests = new Uint8Array(objects.length);
  let position = 0;
  for (const object of objects) {
    ids[position] = object.id;
    sizes[position] = object.size;
    used[position] = object.used;
    manifests[position] = Number(object.isManifest);
    position += 1;
  }
  const graph = toGraph(ids, edges);
  raise(used, graph);
  return {
    ids,
    sizes,
    used,
    manifests,
    ...graph,
    order: headsOf(manifests, graph).sort((one, other) => at(used, one) - at(used, other)),
    kept: Uint32Array.from(kept.map((id) => positionOf(ids, id)).filter((position) => position !== undefined)),
    recent,
  };
}

/** The number at `index`, which is within the array. */
export function at(numbers: Float64Array | Uint32Array, index: number): number {
  return numbers[index] ?? 0;
}

/** What the manifest at `position` names. */
export function childrenOf(
  { starts, children }: Pick<Inventory, 'starts' | 'children'>,
  position: number,
): Uint32Array {
  return children.subarray(at(starts, position), at(starts, position + 1));
}

type Graph = Pick<Inventory, 'starts' | 'children' | 'named'>;

function toGraph(ids: Float64Array, edges: Counted<Edge>): Graph {
  const [parents, known] = [new Uint32Array(edges.length), new Uint32Array(edges.length)];
  const named = new Uint32Array(ids.length);
  const starts = new Uint32Array(ids.length + 1);
  let count = 0;
  for (const [from, to] of edges) {
    const [parent, child] = [positionOf(ids, from), positionOf(ids, to)];
    if (parent === undefined || child === undefined) continue;
    parents[count] = parent;
    known[count] = child;
    starts[parent + 1] = at(starts, parent + 1) + 1;
    named[child] = at(named, child) + 1;
    count += 1;
  }
  for (let position = 0; position < ids.length; position += 1) {
    starts[position + 1] = at(starts, position + 1) + at(starts, position);
  }
  const next = starts.slice();
  const children = new Uint32Array(count);
  for (let edge = 0; edge < count; edge += 1) {
    const parent = at(parents, edge);
    children[at(next, parent)] = at(known, edge);
    next[parent] = at(next, parent) + 1;
  }
  return { starts, children, named };
}

/** Manifests, and what nobody names. */
function headsOf(manifests: Uint8Array, { named }: Graph): Uint32Array<ArrayBuffer> {
  const heads = new Uint32Array(named.length);
  let count = 0;
  for (let position = 0; position < named.length; position += 1) {
    if (manifests[position] === 0 && at(named, position) > 0) continue;
    heads[count] = position;
    count += 1;
  }
  return heads.slice(0, count);
}

/** Counts uses of what one manifest alone names for that manifest. */
function raise(used: Float64Array, graph: Graph): void {
  const { named } = graph;
  const only = new Int32Array(named.length).fill(-1);
  for (let parent = 0; parent < named.length; parent += 1) {
    for (const child of childrenOf(graph, parent)) if (named[child] === 1) only[child] = parent;
  }
  for (let child = 0; child < named.length; child += 1) {
    const use = at(used, child);
    for (let up = only[child] ?? -1; up >= 0 && at(used, up) < use; up = only[up] ?? -1) used[up] = use;
  }
}

function positionOf(ids: Float64Array, id: number): number | undefined {
  let [low, high] = [0, ids.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (at(ids, middle) < id) low = middle + 1;
    else high = middle;
  }
  return ids[low] === id ? low : undefined;
}
