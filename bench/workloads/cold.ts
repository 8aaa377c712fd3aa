import { setTimeout as sleep } from 'node:timers/promises';
import type { Target } from '../connection.ts';
import { median, type Row } from '../measures.ts';
import type { Server } from '../servers/server.ts';
import { cpuSeconds } from '../usage.ts';
import type { Turn, Workload } from '../workload.ts';

const PACED = { size: 32 << 20, bytesPerSecond: 20e6 };
const UNPACED_SIZE = 256 << 20;
/** Milliseconds. */
const SETTLING = 300;

const ONE = 'cold, 32 MiB at 20 MB/s';
const FIRST_BYTE: Row = { name: ONE, unit: 'first byte ms' };
const EXTRA: Row = { name: ONE, unit: 'ms after direct', goals: [{ atMost: 8 }] };
const TOTAL: Row = { name: ONE, unit: 'total s', goals: [{ of: 'direct', atMost: 1.02 }] };
const BYTES: Row = { name: ONE, unit: 'upstream bytes, × the blob', goals: [{ atMost: 1 }] };

/** Content that no server has yet, at the pace of a network: what its first client waits for. */
export const coldPaced: Workload = {
  name: 'cold paced',
  about: 'the first client of a blob behind a network of 20 MB/s',
  rows: [FIRST_BYTE, EXTRA, TOTAL, BYTES],
  isQuick: true,
  async measure(turn) {
    const { field, measures, round } = turn;
    const direct = await fetchPaced(turn, field.origin.target, `direct ${round}`);
    measures.add(FIRST_BYTE, 'direct', direct.firstByte);
    measures.add(TOTAL, 'direct', direct.total / 1000);
    for (const { name, target } of field.caches) {
      const { firstByte, total, bytes } = await fetchPaced(turn, target, `one ${name} ${round}`);
      measures.add(FIRST_BYTE, name, firstByte);
      measures.add(EXTRA, name, firstByte - direct.firstByte);
      measures.add(TOTAL, name, total / 1000);
      measures.add(BYTES, name, bytes / PACED.size);
    }
  },
};

const UNPACED_TIME: Row = { name: 'cold, 256 MiB unpaced', unit: 's', goals: [{ of: 'docker-registry', atMost: 1 }] };
const UNPACED_COST: Row = {
  name: UNPACED_TIME.name,
  unit: 'CPU s/GB',
  goals: [{ of: 'docker-registry', atMost: 0.6 }],
};

/** The same as fast as it goes: what fetching, checking, storing and sending cost. */
export const coldUnpaced: Workload = {
  name: 'cold unpaced',
  about: 'the first client of a blob behind an upstream that is as fast as the machine',
  rows: [UNPACED_TIME, UNPACED_COST],
  isQuick: true,
  async measure(turn) {
    for (const server of turn.field.caches) await measureUnpaced(turn, server);
  },
};

async function measureUnpaced({ field, measures, round }: Turn, { name, pid, target }: Server): Promise<void> {
  const { request } = await field.freshBlob(`unpaced ${name} ${round}`, UNPACED_SIZE);
  const before = cpuSeconds(pid);
  const [fetched] = await field.loaders.fetch(target, request);
  measures.add(UNPACED_TIME, name, (fetched?.total ?? Number.NaN) / 1000);
  // What is still to be done when the client has it all counts, too.
  await sleep(SETTLING);
  measures.add(UNPACED_COST, name, (cpuSeconds(pid) - before) / (UNPACED_SIZE / 1e9));
}

interface PacedFetch {
  readonly firstByte: number;
  readonly total: number;
  readonly bytes: number;
}

async function fetchPaced({ field }: Turn, target: Target, seed: string): Promise<PacedFetch> {
  const { request, digest } = await field.freshBlob(seed, PACED.size, PACED);
  const fetched = await field.loaders.fetch(target, request);
  return {
    firstByte: median(fetched.map(({ firstByte }) => firstByte)),
    total: median(fetched.map(({ total }) => total)),
    bytes: (await field.origin.tally(digest)).bytes,
  };
}
