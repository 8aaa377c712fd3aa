import test from 'ava';
import fc from 'fast-check';
import { type Edge, type InventoryObject, takeInventory } from '../../src/index/inventory.ts';
import { planEviction } from '../../src/upkeep/plan.ts';

const BLOCK = 4096;

/** Objects of one block each by name: when each was used, and what it names (manifests only). */
type Scene = Readonly<Record<string, { readonly used: number; readonly names?: readonly string[] }>>;

function inventoryOf(scene: Scene, kept: readonly string[] = [], recent?: number) {
  const names = Object.keys(scene);
  const objects = names.map((name, id): InventoryObject => {
    return { id, size: 1, used: scene[name]?.used ?? 0, isManifest: scene[name]?.names !== undefined };
  });
  const edges = names.flatMap((name, parent) =>
    (scene[name]?.names ?? []).map((child): Edge => [parent, names.indexOf(child)]),
  );
  return takeInventory(
    objects,
    edges,
    kept.map((name) => names.indexOf(name)),
    recent,
  );
}

interface Wanted {
  readonly kept?: readonly string[];
  readonly recent?: number;
  readonly urgent?: boolean;
}

function evicted(scene: Scene, blocks: number, { kept, recent, urgent }: Wanted = {}): string[] {
  const plan = planEviction(inventoryOf(scene, kept, recent), blocks * BLOCK, urgent);
  return plan.evicted.map((position) => Object.keys(scene)[position] ?? '').sort();
}

const TWO: Scene = {
  old: { used: 10, names: ['base', 'oldTop'] },
  young: { used: 20, names: ['base', 'youngTop'] },
  base: { used: 1 },
  oldTop: { used: 1 },
  youngTop: { used: 1 },
};

test('the image that was not used for longest goes whole, but for what another one needs', (t) => {
  t.deepEqual(evicted(TWO, 1), ['old', 'oldTop']);
  t.deepEqual(evicted(TWO, 2), ['old', 'oldTop']);
  t.deepEqual(evicted(TWO, 3), ['base', 'old', 'oldTop', 'young', 'youngTop']);
  t.deepEqual(evicted(TWO, 0), []);
});

test('a use of an index counts for its platforms and their layers, however old these are', (t) => {
  const scene: Scene = {
    index: { used: 30, names: ['amd64', 'arm64'] },
    amd64: { used: 1, names: ['layer'] },
    arm64: { used: 2, names: ['layer', 'other'] },
    layer: { used: 1 },
    other: { used: 1 },
    image: { used: 20, names: ['own'] },
    own: { used: 1 },
  };
  t.deepEqual(evicted(scene, 2), ['image', 'own']);
  t.deepEqual(evicted(scene, 3), Object.keys(scene).sort());
});

test('a platform that is still used by its digest outlives its indexes', (t) => {
  const scene: Scene = {
    latest: { used: 1, names: ['amd64', 'arm64'] },
    stable: { used: 2, names: ['amd64'] },
    amd64: { used: 40, names: ['layer'] },
    arm64: { used: 1, names: ['layer'] },
    layer: { used: 1 },
    image: { used: 30, names: [] },
  };
  t.deepEqual(evicted(scene, 1), ['arm64', 'latest']);
  t.deepEqual(evicted(scene, 3), ['arm64', 'latest', 'stable']);
  t.deepEqual(evicted(scene, 4), ['arm64', 'image', 'latest', 'stable']);
  t.deepEqual(evicted(scene, 5), Object.keys(scene).sort());
});

test('an image whose layers are still coming counts as used, although its manifest was asked for long ago', (t) => {
  const scene: Scene = {
    pulling: { used: 1, names: ['first', 'base'] },
    first: { used: 50 },
    idle: { used: 30, names: ['base', 'idleTop'] },
    base: { used: 60 },
    idleTop: { used: 2 },
  };
  t.deepEqual(evicted(scene, 1), ['idle', 'idleTop']);
});

test('a blob that nobody names takes its turn by its own last use', (t) => {
  const scene: Scene = {
    stray: { used: 5 },
    image: { used: 3, names: ['layer'] },
    layer: { used: 1 },
    late: { used: 9 },
  };
  t.deepEqual(evicted(scene, 1), ['image', 'layer']);
  t.deepEqual(evicted(scene, 3), ['image', 'layer', 'stray']);
});

test('what is kept never goes, nor what it needs, even when nothing else is left', (t) => {
  t.deepEqual(evicted(TWO, 100, { kept: ['old'] }), ['young', 'youngTop']);
  t.deepEqual(evicted(TWO, 100, { kept: ['old', 'young'], urgent: true }), []);
  t.deepEqual(evicted(TWO, 100, { kept: ['oldTop'] }), ['base', 'old', 'young', 'youngTop']);
});

test('what was used a moment ago goes only when the space is needed at once', (t) => {
  t.deepEqual(evicted(TWO, 100, { recent: 15 }), ['old', 'oldTop']);
  t.deepEqual(evicted(TWO, 100, { recent: 5 }), []);
  t.deepEqual(evicted(TWO, 100, { recent: 5, urgent: true }), Object.keys(TWO).sort());
  const shared: Scene = { ...TWO, base: { used: 18 }, young: { used: 12, names: ['base', 'youngTop'] } };
  t.deepEqual(evicted(shared, 100, { recent: 15 }), ['old', 'oldTop', 'young', 'youngTop']);
});

test('a plan tells how many images go, what becomes free, and when the last of it was used', (t) => {
  const { images, bytes, lastUse } = planEviction(inventoryOf({ ...TWO, stray: { used: 15 } }), 3 * BLOCK);
  t.deepEqual([images, bytes, lastUse], [1, 3 * BLOCK, 15]);
  t.is(planEviction(inventoryOf(TWO), 0).lastUse, undefined);
});

/** Manifests name what comes after them, so that nothing names itself. */
const scenes = fc
  .array(
    fc.record({
      used: fc.integer({ min: 0, max: 20 }),
      children: fc.option(fc.array(fc.nat(11), { maxLength: 5 }), { nil: undefined }),
      size: fc.integer({ min: 0, max: 20_000 }),
    }),
    { minLength: 1, maxLength: 12 },
  )
  .map((drafts) => {
    const edges = drafts.flatMap(({ children = [] }, parent): Edge[] =>
      [...new Set(children.map((child) => parent + 1 + child))]
        .filter((child) => child < drafts.length)
        .map((child) => [parent, child]),
    );
    const objects = drafts.map(({ used, children, size }, id): InventoryObject => {
      return { id, used, size, isManifest: children !== undefined };
    });
    return { objects, edges };
  });

test('plans hold whatever is stored: enough goes and not more, by last use, and nothing that is needed', (t) => {
  const bytes = fc.nat(120_000);
  const kept = fc.array(fc.nat(11), { maxLength: 3 });
  const recent = fc.integer({ min: 0, max: 25 });
  const shares = fc.double({ min: 0, max: 1, noNaN: true });
  fc.assert(
    fc.property(scenes, bytes, kept, recent, fc.boolean(), shares, (scene, wanted, keep, since, urgent, share) => {
      const inventory = takeInventory(scene.objects, scene.edges, keep, since);
      const plan = planEviction(inventory, wanted, urgent);
      const gone = new Set(plan.evicted);
      t.is(gone.size, plan.evicted.length);
      const stays = reachable(scene.edges, keep);
      for (const position of gone) {
        t.false(stays.has(position));
        if (!urgent) t.true((scene.objects[position]?.used ?? 0) <= since);
      }
      for (const [parent, child] of scene.edges) t.false(gone.has(child) && !gone.has(parent), 'a needed child went');
      const others = scene.objects.map(({ id }) => id).filter((id) => !gone.has(id) && !stays.has(id));
      if (plan.bytes < wanted && urgent)
        t.deepEqual(
          others.filter((id) => isHead(id, scene, gone)),
          [],
        );
      const order = plan.evicted.map((position) => inventory.used[position] ?? 0);
      const heads = others.filter((id) => isHead(id, scene, gone));
      for (const id of heads) {
        if (plan.bytes >= wanted) t.true((inventory.used[id] ?? 0) >= Math.min(...order, Infinity) || gone.size === 0);
      }
      // Times count by their order alone.
      const moved = scene.objects.map((object) => ({ ...object, used: object.used + 400 * 86_400_000 }));
      const later = takeInventory(moved, scene.edges, keep, since + 400 * 86_400_000);
      t.deepEqual(planEviction(later, wanted, urgent).evicted, plan.evicted);
      // Wanting less never takes more, and what is enough already stays enough.
      const smaller = planEviction(inventory, Math.floor(wanted * share), urgent);
      t.deepEqual(smaller.evicted, plan.evicted.slice(0, smaller.evicted.length));
      if (smaller.bytes >= wanted) t.is(smaller.evicted.length, plan.evicted.length);
    }),
    { numRuns: 2000 },
  );
});

/** Whether nothing that stays names it. */
function isHead(id: number, { edges }: { edges: readonly Edge[] }, gone: ReadonlySet<number>): boolean {
  return edges.every(([parent, child]) => child !== id || gone.has(parent));
}

function reachable(edges: readonly Edge[], from: readonly number[]): Set<number> {
  const reached = new Set(from);
  for (const one of reached) for (const [parent, child] of edges) if (parent === one) reached.add(child);
  return reached;
}
