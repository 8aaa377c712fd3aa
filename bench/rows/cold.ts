import { setTimeout as sleep } from 'node:timers/promises';
import type { Target } from '../connection.ts';
import type { Field } from '../field.ts';
import type { Fetched } from '../loaders.ts';
import { type Measures, median, type Row } from '../measures.ts';
import type { Server } from '../servers/server.ts';
import { cpuSeconds } from '../usage.ts';

const PACED = { size: 32 << 20, bytesPerSecond: 20e6 };
const UNPACED_SIZE = 256 << 20;
const CROWD = 16;
/** Milliseconds. */
const SETTLING = 300;

const ONE = 'cold, 32 MiB at 20 MB/s';
const FIRST_BYTE: Row = { name: ONE, unit: 'first byte ms' };
const EXTRA: Row = { name: ONE, unit: 'ms after direct', goals: [{ atMost: 8 }] };
const TOTAL: Row = { name: ONE, unit: 'total s', goals: [{ of: 'direct', atMost: 1.02 }] };
const UNPACED_TIME: Row = { name: 'cold, 256 MiB unpaced', unit: 's', goals: [{ of: 'docker-registry', atMost: 1 }] };
const UNPACED_COST: Row = {
  name: UNPACED_TIME.name,
  unit: 'CPU s/GB',
  goals: [{ of: 'docker-registry', atMost: 0.6 }],
};
const TOGETHER = `cold, ${CROWD} clients on it`;
const CROWD_GETS: Row = { name: TOGETHER, unit: 'upstream GETs', goals: [{ atMost: 1 }] };
const CROWD_FIRST: Row = { name: TOGETHER, unit: 'first byte ms', goals: [{ atMost: 50 }] };
const CROWD_TOTAL: Row = { name: TOGETHER, unit: 'total s', goals: [{ of: 'direct', atMost: 1.05 }] };

/** Content that no server has yet: what a first client waits for, what it costs, and what a crowd costs the upstream. */
export async function measureCold(field: Field, measures: Measures, round: number): Promise<void> {
  const servers = field.servers.filter(({ fills }) => fills);
  const direct = await fetchPaced(field, field.origin.target, `direct ${round}`, 1);
  measures.add(FIRST_BYTE, 'direct', direct.firstByte);
  for (const { name, target } of servers) {
    const { firstByte, total } = await fetchPaced(field, target, `one ${name} ${round}`, 1);
    measures.add(FIRST_BYTE, name, firstByte);
    measures.add(EXTRA, name, firstByte - direct.firstByte);
    measures.add(TOTAL, name, total / 1000);
  }
  measures.add(TOTAL, 'direct', direct.total / 1000);
  for (const server of servers) await measureUnpaced(field, measures, server, round);
  for (const { name, target } of servers) {
    const { firstByte, total, gets } = await fetchPaced(field, target, `crowd ${name} ${round}`, CROWD);
    measures.add(CROWD_GETS, name, gets);
    measures.add(CROWD_FIRST, name, firstByte);
    measures.add(CROWD_TOTAL, name, total / 1000);
  }
  measures.add(CROWD_TOTAL, 'direct', direct.total / 1000);
}

async function measureUnpaced(
  field: Field,
  measures: Measures,
  { name, pid, target }: Server,
  round: number,
): Promise<void> {
  const { path } = await field.freshBlob(`unpaced ${name} ${round}`, UNPACED_SIZE);
  const before = cpuSeconds(pid);
  const [fetched] = await field.loaders.fetch(target, path);
  measures.add(UNPACED_TIME, name, (fetched?.total ?? Number.NaN) / 1000);
  // What is still to be done when the client has it all counts, too.
  await sleep(SETTLING);
  measures.add(UNPACED_COST, name, (cpuSeconds(pid) - before) / (UNPACED_SIZE / 1e9));
}

async function fetchPaced(
  field: Field,
  target: Target,
  seed: string,
  clients: number,
): Promise<Fetched & { readonly gets: number }> {
  const { path, digest } = await field.freshBlob(seed, PACED.size, PACED.bytesPerSecond);
  const fetched = await field.loaders.fetch(target, path, clients);
  return {
    firstByte: median(fetched.map(({ firstByte }) => firstByte)),
    total: median(fetched.map(({ total }) => total)),
    gets: await field.origin.gets(digest),
  };
}
