import type { Workload } from './workload.ts';
import { coldPaced, coldUnpaced } from './workloads/cold.ts';
import { crowds, memory } from './workloads/crowd.ts';
import { largeImage } from './workloads/large-image.ts';
import { outages } from './workloads/outage.ts';
import { lazyPull, smallImages, tagPull } from './workloads/pulls.ts';
import { slowDisk } from './workloads/slow-disk.ts';
import { handshakes, warmSmall } from './workloads/small.ts';
import { start } from './workloads/start.ts';
import { parallel, prefetch, processes } from './workloads/variants.ts';
import { warmLayers } from './workloads/warm.ts';

/** In the order in which a round does them. */
export const workloads: readonly Workload[] = [
  start,
  warmLayers,
  warmSmall,
  handshakes,
  tagPull,
  coldPaced,
  coldUnpaced,
  crowds,
  memory,
  smallImages,
  lazyPull,
  slowDisk,
  outages,
  processes,
  prefetch,
  parallel,
  largeImage,
];

/** Those whose name is, or begins with, one of `names`; all without names. Throws for a name of none. */
export function chosen(names: readonly string[], isQuick: boolean): Workload[] {
  const possible = workloads.filter((one) => one.isQuick || !isQuick);
  if (names.length === 0) return possible;
  const unknown = names.filter((name) => !possible.some((one) => one.name.startsWith(name)));
  if (unknown.length > 0) throw new Error(`no workload begins with ${unknown.join(', ')}; --list shows them`);
  return possible.filter((one) => names.some((name) => one.name.startsWith(name)));
}
