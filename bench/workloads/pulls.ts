import { setTimeout as sleep } from 'node:timers/promises';
import type { Request } from '../connection.ts';
import { addImage, type Image } from '../images.ts';
import type { Row } from '../measures.ts';
import type { Turn, Workload } from '../workload.ts';

const IMAGES = 200;
const CLIENTS = 20;
const SHAPE = { layers: 4, size: 64 << 10 };

const NAME = `${IMAGES} small images, ${CLIENTS} clients`;
const COLD: Row = { name: `${NAME}, cold`, unit: 's' };
const COLD_P99: Row = { name: COLD.name, unit: 'p99 ms' };
const WARM: Row = { name: `${NAME}, warm`, unit: 's' };
const WARM_P99: Row = { name: WARM.name, unit: 'p99 ms' };

/** Every client takes the next image as soon as it has one: manifest by tag, config, layers. */
export const smallImages: Workload = {
  name: 'small images',
  about: 'a cluster that starts: many clients, many images, each of them small',
  rows: [COLD, COLD_P99, WARM, WARM_P99],
  rounds: 3,
  async measure({ field, measures, round }) {
    const visits: (readonly Request[])[] = [];
    for (let at = 0; at < IMAGES; at++) visits.push(visit(await addImage(field.origin, `small-${round}-${at}`, SHAPE)));
    for (const { name, target } of field.caches) {
      const cold = await field.loaders.drain(target, visits, CLIENTS);
      const warm = await field.loaders.drain(target, visits, CLIENTS);
      measures.add(COLD, name, cold.total / 1000);
      measures.add(COLD_P99, name, cold.p99);
      measures.add(WARM, name, warm.total / 1000);
      measures.add(WARM_P99, name, warm.p99);
    }
    const direct = await field.loaders.drain(field.origin.target, visits, CLIENTS);
    measures.add(COLD, 'direct', direct.total / 1000);
    measures.add(COLD_P99, 'direct', direct.p99);
  },
};

function visit({ manifest, blobs }: Image): readonly Request[] {
  return [manifest, ...blobs];
}

const TAG: Row = { name: 'warm pull by tag', unit: 'upstream requests', goals: [{ atMost: 1 }] };
const TAG_GETS: Row = { name: TAG.name, unit: 'upstream GETs', goals: [{ atMost: 0 }] };
/** Milliseconds after which nobody shares the answer of before any more. */
const FORGOTTEN = 1100;

/** What a pull of something that every server has still asks the upstream. */
export const tagPull: Workload = {
  name: 'tag',
  about: 'what a warm pull by tag asks of the upstream',
  rows: [TAG, TAG_GETS],
  isQuick: true,
  async measure(turn: Turn) {
    const { field, measures, round } = turn;
    const image = await addImage(field.origin, `pulled-${round}`, SHAPE);
    for (const { target } of field.caches) await field.loaders.drain(target, [visit(image)], 1);
    await sleep(FORGOTTEN);
    for (const { name, target } of field.caches) {
      const before = await field.origin.tally();
      await field.loaders.drain(target, [visit(image)], 1);
      const after = await field.origin.tally();
      measures.add(TAG, name, after.gets + after.heads - before.gets - before.heads);
      measures.add(TAG_GETS, name, after.gets - before.gets);
    }
  },
};

const BLOB_SIZE = 64 << 20;
const CHUNK = 64 << 10;
const CHUNKS = 200;
const TABLE = 256 << 10;
const FOOTER = 51;
const LAZY_CLIENTS = 8;

const LAZY = '64 MiB in 200 ranges of 64 KiB';
const LAZY_COLD: Row = { name: `${LAZY}, cold`, unit: 's' };
const LAZY_COLD_P50: Row = { name: LAZY_COLD.name, unit: 'p50 ms' };
const LAZY_COLD_P99: Row = { name: LAZY_COLD.name, unit: 'p99 ms' };
const LAZY_BYTES: Row = { name: LAZY_COLD.name, unit: 'upstream bytes, × the blob' };
const LAZY_WARM: Row = { name: `${LAZY}, warm`, unit: 's' };
const LAZY_WARM_P99: Row = { name: LAZY_WARM.name, unit: 'p99 ms' };

/** As estargz is read: the footer, the table of contents before it, then chunks as files are opened. */
export const lazyPull: Workload = {
  name: 'lazy',
  about: 'a lazy puller: a footer, a table of contents, then many small ranges of a blob',
  rows: [LAZY_COLD, LAZY_COLD_P50, LAZY_COLD_P99, LAZY_BYTES, LAZY_WARM, LAZY_WARM_P99],
  rounds: 3,
  async measure({ field, measures, round }) {
    for (const { name, target } of field.caches) {
      const { request, digest } = await field.freshBlob(`lazy ${name} ${round}`, BLOB_SIZE, { bytesPerSecond: 20e6 });
      const [beginning, chunks] = ranges(request);
      const began = await field.loaders.drain(target, [beginning], 1);
      const cold = await field.loaders.drain(target, chunks, LAZY_CLIENTS);
      measures.add(LAZY_COLD, name, (began.total + cold.total) / 1000);
      measures.add(LAZY_COLD_P50, name, cold.p50);
      measures.add(LAZY_COLD_P99, name, cold.p99);
      await field.loaders.fetch(target, request);
      measures.add(LAZY_BYTES, name, (await field.origin.tally(digest)).bytes / BLOB_SIZE);
      const warm = await field.loaders.drain(target, [beginning, ...chunks], LAZY_CLIENTS);
      measures.add(LAZY_WARM, name, warm.total / 1000);
      measures.add(LAZY_WARM_P99, name, warm.p99);
    }
  },
};

/** Chunks in an order that is no order, the same for everyone. */
function ranges(request: Request): readonly [readonly Request[], readonly (readonly Request[])[]] {
  const part = (start: number, size: number): Request => ({ ...request, range: [start, start + size - 1] });
  const table = BLOB_SIZE - FOOTER - TABLE;
  const places = BLOB_SIZE / CHUNK - TABLE / CHUNK - 1;
  const chunks = Array.from({ length: CHUNKS }, (_, at) => [part(((at * 389) % places) * CHUNK, CHUNK)]);
  return [[part(BLOB_SIZE - FOOTER, FOOTER), part(table, TABLE)], chunks];
}
