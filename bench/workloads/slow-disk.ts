import { tmpdir } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Row } from '../measures.ts';
import type { Kind } from '../servers/server.ts';
import { cannotThrottle, Throttle } from '../throttle.ts';
import type { Turn, Workload } from '../workload.ts';

const FILLS = 8;
const FILL_SIZE = 32 << 20;
const BYTES_PER_SECOND = 20e6;
const READERS = 4;
/** Milliseconds after which the fills have more to write than the disk takes. */
const SETTLING = 500;

const NAME = `warm, beside ${FILLS} fills on a disk of 20 MB/s`;
const MANIFEST_P99: Row = { name: NAME, unit: 'p99 ms of a manifest' };
const BLOB_P50: Row = { name: NAME, unit: 'p50 ms of 1 MiB' };
const BLOB_P99: Row = { name: NAME, unit: 'p99 ms of 1 MiB' };

export const slowDisk: Workload = {
  name: 'slow disk',
  about: 'warm answers while new content waits for a disk that is slow to take it',
  rows: [MANIFEST_P99, BLOB_P50, BLOB_P99],
  rounds: 3,
  cannot: () => cannotThrottle(tmpdir()),
  async measure(turn) {
    for (const kind of turn.field.kinds.filter(({ fills }) => fills)) await readBesideFills(turn, kind);
  },
};

async function readBesideFills({ field, measures, round, time }: Turn, kind: Kind): Promise<void> {
  const bed = await field.bed(`slow disk ${kind.name} ${round}`);
  await using server = await kind.start(bed);
  const { smallLayers, manifest } = field.content;
  for (const request of [...smallLayers, manifest]) await field.loaders.fetch(server.target, request);
  const fills = [];
  for (let at = 0; at < FILLS; at++)
    fills.push([(await field.freshBlob(`slow disk ${kind.name} ${round} ${at}`, FILL_SIZE)).request]);
  let filling: Promise<unknown>;
  {
    await using _ = await Throttle.on(server.pid, bed.dir, BYTES_PER_SECOND);
    filling = field.otherLoaders.drain(server.target, fills, FILLS);
    await sleep(SETTLING);
    const manifests = await field.loaders.press(server.target, [manifest], READERS, time);
    const blobs = await field.loaders.press(server.target, smallLayers, READERS, time);
    measures.add(MANIFEST_P99, kind.name, manifests.p99);
    measures.add(BLOB_P50, kind.name, blobs.p50);
    measures.add(BLOB_P99, kind.name, blobs.p99);
  }
  await filling;
}
