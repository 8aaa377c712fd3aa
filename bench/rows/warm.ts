import type { Field } from '../field.ts';
import type { Measures, Row } from '../measures.ts';
import { cpuSeconds, residentMiB } from '../usage.ts';

const FAST = [
  { of: 'nginx files', atLeast: 1 },
  { of: 'docker-registry', atLeast: 1.3 },
] as const;
const LEAN = [
  { of: 'nginx files', atMost: 0.85 },
  { of: 'docker-registry', atMost: 0.6 },
] as const;

const STREAMS = [1, 8, 32].map((streams) => {
  const plural = streams === 1 ? '1 stream' : `${streams} streams`;
  return {
    streams,
    rate: { name: `warm layers, ${plural}`, unit: 'MB/s', goals: FAST } satisfies Row,
    cost: { name: `warm layers, ${plural}`, unit: 'CPU s/GB', goals: LEAN } satisfies Row,
  };
});
const SMALL_RATE: Row = {
  name: 'warm 1 MiB blobs, 8 streams',
  unit: 'MB/s',
  goals: [
    { of: 'nginx files', atLeast: 1.2 },
    { of: 'docker-registry', atLeast: 4 },
  ],
};
const SMALL_COST: Row = { name: SMALL_RATE.name, unit: 'CPU s/GB' };
const MANIFESTS: Row = {
  name: 'warm manifests, 32 connections',
  unit: 'GET/s',
  goals: [
    { of: 'nginx files', atLeast: 0.6 },
    { of: 'docker-registry', atLeast: 30 },
  ],
};
const MANIFEST_P99: Row = { name: MANIFESTS.name, unit: 'p99 ms', goals: [{ atMost: 8 }] };
const MIXED_P99: Row = { name: 'manifests beside 8 streams', unit: 'p99 ms', goals: [{ atMost: 15 }] };
const IDLE: Row = { name: 'memory after the start', unit: 'MiB', goals: [{ atMost: 70 }] };
const PEAK: Row = { name: 'memory, peak of 32 streams', unit: 'MiB', goals: [{ atMost: 150 }] };

/** Resident memory before anything was asked. */
export function measureIdle({ servers }: Field, measures: Measures): void {
  for (const { name, pid } of servers) measures.add(IDLE, name, residentMiB(pid));
}

/** Content that every server has already: throughput, CPU, small objects, memory. Each row presses a server for `time` milliseconds. */
export async function measureWarm(field: Field, measures: Measures, time: number): Promise<void> {
  for (const { streams, rate, cost } of STREAMS)
    await pressBlobs(field, measures, { paths: field.layers, streams, time }, rate, cost);
  await pressBlobs(field, measures, { paths: field.smallLayers, streams: 8, time }, SMALL_RATE, SMALL_COST);
  for (const { name, target } of field.servers) {
    const { requests, p99 } = await field.loaders.press(target, field.manifests, 32, time);
    measures.add(MANIFESTS, name, requests / (time / 1000));
    measures.add(MANIFEST_P99, name, p99);
  }
  for (const { name, target } of field.servers) {
    const streams = field.loaders.press(target, field.layers, 8, time);
    const { p99 } = await field.otherLoaders.press(target, field.manifests, 4, time);
    await streams;
    measures.add(MIXED_P99, name, p99);
  }
}

async function pressBlobs(
  { servers, loaders }: Field,
  measures: Measures,
  { paths, streams, time }: { readonly paths: readonly string[]; readonly streams: number; readonly time: number },
  rate: Row,
  cost: Row,
): Promise<void> {
  for (const { name, pid, target } of servers) {
    const cpu: number[] = [];
    let peak = 0;
    const sampling = setInterval(() => {
      peak = Math.max(peak, residentMiB(pid));
    }, 100);
    const { bytes } = await loaders.press(target, paths, streams, time, () => cpu.push(cpuSeconds(pid)));
    clearInterval(sampling);
    const [before = 0, after = 0] = cpu;
    measures.add(rate, name, bytes / 1e6 / (time / 1000));
    measures.add(cost, name, (after - before) / (bytes / 1e9));
    if (streams === 32) measures.add(PEAK, name, peak);
  }
}
