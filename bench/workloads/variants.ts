import type { Target } from '../connection.ts';
import { addImage, type Image, type ImageShape } from '../images.ts';
import type { Column, Goal, Row } from '../measures.ts';
import type { Settings } from '../servers/layover.ts';
import { cpuSeconds, residentMiB } from '../usage.ts';
import type { Turn, Workload } from '../workload.ts';

/** As many layers at a time as containerd fetches. */
const AT_A_TIME = 3;

/** One setting of Layover's, and the rows of a pull with it. */
interface Variant {
  readonly settings: Settings;
  readonly total: Row;
  readonly bytes: Row;
}

/** What is on its way on a connection that is given up counts, too. */
const ONCE = [{ atMost: 1.05 }];

function variant(what: string, key: string, value: string | number, goals: readonly Goal[] = []): Variant {
  const name = `${what}, ${key}: ${value}`;
  return {
    settings: { upstream: { [key]: value } },
    total: { name, unit: 's', goals },
    bytes: { name, unit: 'upstream bytes, × the image', goals: ONCE },
  };
}

const CAPPED = '1 GB in 12 layers, 10 MB/s a connection';
const PARALLEL: readonly Variant[] = [
  variant(CAPPED, 'parallel', 'off'),
  variant(CAPPED, 'parallel', 4, [{ of: 'direct', atMost: 0.4 }]),
  variant(CAPPED, 'parallel', 8, [{ of: 'direct', atMost: 0.4 }]),
];

export const parallel: Workload = {
  name: 'parallel',
  about: 'an image behind a CDN that caps each connection, fetched over one connection a layer or over several',
  rows: rowsOf(PARALLEL),
  rounds: 1,
  measure: (turn) => pullWithEach(turn, PARALLEL, { layers: 12, size: 83_333_333, pace: { bytesPerSecond: 10e6 } }),
};

const DISTANT = '192 MiB in 12 layers, 20 MB/s and 50 ms an answer';
const PREFETCH: readonly Variant[] = [variant(DISTANT, 'prefetch', 'off'), variant(DISTANT, 'prefetch', 'layers')];

export const prefetch: Workload = {
  name: 'prefetch',
  about: 'an image behind a distant upstream, with layers fetched when asked for or as soon as the manifest is there',
  rows: rowsOf(PREFETCH),
  rounds: 3,
  measure: (turn) =>
    pullWithEach(turn, PREFETCH, { layers: 12, size: 16 << 20, pace: { bytesPerSecond: 20e6, delay: 50 } }),
};

function rowsOf(variants: readonly Variant[]): Row[] {
  return variants.flatMap(({ total, bytes }) => [total, bytes]);
}

/** Every variant has an image of its own, cold; direct is what the same client takes without anything between. */
async function pullWithEach(turn: Turn, variants: readonly Variant[], shape: ImageShape): Promise<void> {
  const { field, measures, round } = turn;
  const { origin } = field;
  const direct = await pull(turn, origin.target, await addImage(origin, tagOf('direct', variants[0], round), shape));
  for (const variant of variants) {
    const { settings, total, bytes } = variant;
    const tag = tagOf('layover', variant, round);
    const image = await addImage(origin, tag, shape);
    await using server = await field.anotherLayover(tag, settings);
    const before = (await origin.tally()).bytes;
    measures.add(total, 'layover', await pull(turn, server.target, image));
    measures.add(total, 'direct', direct);
    measures.add(bytes, 'layover', ((await origin.tally()).bytes - before) / image.size);
  }
}

function tagOf(column: Column, variant: Variant | undefined, round: number): string {
  return `${column} ${variant?.total.name} ${round}`.replaceAll(/\W+/g, '-');
}

/** Seconds: the manifest by tag, then a few blobs at a time. */
async function pull({ field }: Turn, target: Target, { manifest, blobs }: Image): Promise<number> {
  const asked = await field.loaders.drain(target, [[manifest]], 1);
  const visits = blobs.map((one) => [one]);
  const fetched = await field.loaders.drain(target, visits, AT_A_TIME);
  return (asked.total + fetched.total) / 1000;
}

const PROCESSES = [1, 2, 4].map((count) => {
  const name = `processes: ${count}`;
  return {
    count,
    rate: { name: `${name}, warm layers, 32 streams`, unit: 'MB/s' },
    cost: { name: `${name}, warm layers, 32 streams`, unit: 'CPU s/GB' },
    small: { name: `${name}, warm manifests, 32 connections`, unit: 'GET/s' },
    memory: { name: `${name}, memory after it`, unit: 'MiB' },
  };
});

/** On two cores that the load shares; what more cores would bring cannot be seen here. */
export const processes: Workload = {
  name: 'processes',
  about: 'several processes of Layover on one port',
  rows: PROCESSES.flatMap(({ rate, cost, small, memory }) => [rate, cost, small, memory]),
  rounds: 3,
  async measure({ field, measures, round, time }) {
    const { layers, manifest } = field.content;
    for (const { count, rate, cost, small, memory } of PROCESSES) {
      await using server = await field.anotherLayover(`processes ${count} ${round}`, { gateway: { processes: count } });
      for (const request of [...layers, manifest]) await field.loaders.fetch(server.target, request);
      const cpu: number[] = [];
      const watch = (): unknown => cpu.push(cpuSeconds(server.pid));
      const { bytes } = await field.loaders.press(server.target, layers, 32, time, watch);
      const [before = 0, after = 0] = cpu;
      const { requests } = await field.loaders.press(server.target, [manifest], 32, time);
      measures.add(rate, 'layover', bytes / 1e6 / (time / 1000));
      measures.add(cost, 'layover', (after - before) / (bytes / 1e9));
      measures.add(small, 'layover', requests / (time / 1000));
      measures.add(memory, 'layover', residentMiB(server.pid));
    }
  },
};
