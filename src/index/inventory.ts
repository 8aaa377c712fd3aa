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

/**
 * Puts together what is here. A use of what one manifest alone names counts for that manifest: its layers are still
 * coming when others have been asked for since. `objects` by rising id; edges from or to what is not among them do not
 * count.
 */
export function takeInventory(
  objects: Iterable<InventoryObject>,
  edges: Iterable<Edge>,
  kept: readonly number[] = [],
  recent = Infinity,
): Inventory {
  const columns = { ids: [] as number[], sizes: [] as number[], used: [] as number[], manifests: [] as number[] };
  for (const { id, size, used, isManifest } of objects) {
    columns.ids.push(id);
    columns.sizes.push(size);
    columns.used.push(used);
    columns.manifests.push(Number(isManifest));
  }
  const ids = Float64Array.from(columns.ids);
  const used = Float64Array.from(columns.used);
  const manifests = Uint8Array.from(columns.manifests);
  const graph = toGraph(ids, edges);
  raise(used, graph);
  const heads = Uint32Array.from(ids.keys()).filter((one) => manifests[one] === 1 || graph.named[one] === 0);
  return {
    ids,
    sizes: Float64Array.from(columns.sizes),
    used,
    manifests,
    ...graph,
    order: heads.sort((one, other) => at(used, one) - at(used, other)),
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

function toGraph(ids: Float64Array, edges: Iterable<Edge>): Graph {
  const [parents, named] = [[] as number[], new Uint32Array(ids.length)];
  const known: number[] = [];
  const starts = new Uint32Array(ids.length + 1);
  for (const [from, to] of edges) {
    const [parent, child] = [positionOf(ids, from), positionOf(ids, to)];
    if (parent === undefined || child === undefined) continue;
    parents.push(parent);
    known.push(child);
    starts[parent + 1] = at(starts, parent + 1) + 1;
    named[child] = at(named, child) + 1;
  }
  for (const position of ids.keys()) starts[position + 1] = at(starts, position + 1) + at(starts, position);
  const next = starts.slice();
  const children = new Uint32Array(known.length);
  for (const [index, parent] of parents.entries()) {
    children[at(next, parent)] = known[index] ?? 0;
    next[parent] = at(next, parent) + 1;
  }
  return { starts, children, named };
}

/** Counts uses of what one manifest alone names for that manifest. */
function raise(used: Float64Array, graph: Graph): void {
  const { named } = graph;
  const only = new Int32Array(named.length).fill(-1);
  for (const parent of named.keys()) {
    for (const child of childrenOf(graph, parent)) if (named[child] === 1) only[child] = parent;
  }
  for (const [child, parent] of only.entries()) {
    const use = at(used, child);
    for (let up = parent; up >= 0 && at(used, up) < use; up = only[up] ?? -1) used[up] = use;
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
