import type { Request } from '../connection.ts';
import type { Row } from '../measures.ts';
import { cpuSeconds, peakMiB } from '../usage.ts';
import type { Turn, Workload } from '../workload.ts';

const FAST = [
  { of: 'nginx files', atLeast: 1 },
  { of: 'docker-registry', atLeast: 1.3 },
] as const;
const LEAN = [
  { of: 'nginx files', atMost: 0.85 },
  { of: 'docker-registry', atMost: 0.6 },
] as const;
const MANY_SMALL = [
  { of: 'nginx files', atLeast: 1.2 },
  { of: 'docker-registry', atLeast: 4 },
] as const;

/** The rows of so many streams of something. */
interface Streams {
  readonly streams: number;
  readonly rate: Row;
  readonly cost: Row;
}

const LAYERS: readonly Streams[] = [1, 8, 32].map((streams) => {
  const name = `warm layers, ${streams === 1 ? '1 stream' : `${streams} streams`}`;
  return { streams, rate: { name, unit: 'MB/s', goals: FAST }, cost: { name, unit: 'CPU s/GB', goals: LEAN } };
});
const SMALL: Streams = {
  streams: 8,
  rate: { name: 'warm 1 MiB blobs, 8 streams', unit: 'MB/s', goals: MANY_SMALL },
  cost: { name: 'warm 1 MiB blobs, 8 streams', unit: 'CPU s/GB' },
};
const PEAK: Row = { name: 'memory, peak of 32 streams', unit: 'MiB', goals: [{ atMost: 150 }] };
const MIXED_P99: Row = {
  name: 'manifests beside 8 streams',
  unit: 'p99 ms',
  goals: [{ atMost: 15 }, { of: 'nginx files', atMost: 1 }, { of: 'docker-registry', atMost: 1 }],
};

export const warmLayers: Workload = {
  name: 'warm layers',
  about: 'content that every server has: throughput, CPU, memory, and manifests meanwhile',
  rows: [...[...LAYERS, SMALL].flatMap(({ rate, cost }) => [rate, cost]), PEAK, MIXED_P99],
  isQuick: true,
  async measure(turn) {
    const { field, measures, time } = turn;
    await field.warm();
    const { layers, smallLayers, manifest } = field.content;
    for (const streams of LAYERS) await pressBlobs(turn, streams, layers);
    await pressBlobs(turn, SMALL, smallLayers);
    for (const { name, target } of field.servers) {
      const streams = field.loaders.press(target, layers, 8, time);
      const { p99 } = await field.otherLoaders.press(target, [manifest], 4, time);
      await streams;
      measures.add(MIXED_P99, name, p99);
    }
  },
};

async function pressBlobs(turn: Turn, { streams, rate, cost }: Streams, requests: readonly Request[]): Promise<void> {
  const { field, measures, time } = turn;
  for (const { name, pid, target } of field.servers) {
    const cpu: number[] = [];
    const peak = await peakMiB(pid, async () => {
      const watch = (): unknown => cpu.push(cpuSeconds(pid));
      const { bytes } = await field.loaders.press(target, requests, streams, time, watch);
      const [before = 0, after = 0] = cpu;
      measures.add(rate, name, bytes / 1e6 / (time / 1000));
      measures.add(cost, name, (after - before) / (bytes / 1e9));
    });
    if (streams === 32) measures.add(PEAK, name, peak);
  }
}
