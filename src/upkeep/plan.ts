import { at, childrenOf, type Inventory } from '../index/inventory.ts';
import { toBlocks } from '../store/space.ts';

/** What to evict, by position in the inventory. */
export interface Plan {
  readonly evicted: readonly number[];
  /** How many images go whole. */
  readonly images: number;
  /** Bytes that become free. */
  readonly bytes: number;
  /** The latest use of anything that goes. */
  readonly lastUse: number | undefined;
}

/**
 * What has to go for `bytes` to become free, and no more: whole images and what belongs to none, by least recent use.
 * What a manifest that stays names stays too, so a use of a manifest counts for all of that, however old it is; and so
 * does what is kept, with everything it names. What was used in the last
 * few seconds goes only when `urgent`. Times are compared with each other and never with a clock.
 */
export function planEviction(inventory: Inventory, bytes: number, urgent = false): Plan {
  const { order, used, sizes, manifests } = inventory;
  const stays = keptClosure(inventory);
  const named = inventory.named.slice();
  const evicted: number[] = [];
  const latest = urgent ? Infinity : inventory.recent;
  let [images, freed] = [0, 0];
  const evict = (position: number): void => {
    stays[position] = 1;
    evicted.push(position);
    freed += toBlocks(at(sizes, position));
  };
  for (const head of order) {
    if (freed >= bytes || at(used, head) > latest) break;
    if (stays[head] === 1 || at(named, head) > 0) continue;
    const whole = [head];
    if (manifests[head] === 1) images += 1;
    for (let position = whole.pop(); position !== undefined; position = whole.pop()) {
      evict(position);
      for (const child of childrenOf(inventory, position)) {
        named[child] = at(named, child) - 1;
        const isOver = at(named, child) === 0 && stays[child] === 0 && at(used, child) <= latest;
        // A manifest that was used by itself since is an image of its own, whose turn comes later.
        if (isOver && (manifests[child] === 0 || at(used, child) <= at(used, head))) whole.push(child);
      }
    }
  }
  const last = evicted.reduce((use, position) => Math.max(use, at(used, position)), -Infinity);
  return { evicted, images, bytes: freed, lastUse: evicted.length === 0 ? undefined : last };
}

/** 1 for what is kept and for what that names. */
function keptClosure(inventory: Inventory): Uint8Array {
  const stays = new Uint8Array(inventory.ids.length);
  const reached = [...inventory.kept];
  for (let position = reached.pop(); position !== undefined; position = reached.pop()) {
    if (stays[position] === 1) continue;
    stays[position] = 1;
    reached.push(...childrenOf(inventory, position));
  }
  return stays;
}
