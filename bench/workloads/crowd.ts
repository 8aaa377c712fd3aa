import { median, type Row } from '../measures.ts';
import type { Kind, ServerName } from '../servers/server.ts';
import { peakMiB, residentMiB } from '../usage.ts';
import type { Turn, Workload } from '../workload.ts';

/** Bytes per second for all clients of a crowd together, so that two cores can send that much. */
const TOGETHER = 320e6;
const SECONDS = 1.68;
const FOLLOWERS = 1000;

interface Crowd {
  readonly clients: number;
  readonly isQuick: boolean;
  readonly gets: Row;
  readonly first: Row;
  readonly total: Row;
}

const CROWDS: readonly Crowd[] = [16, 64, 256].map((clients) => {
  const name = `cold, ${clients} clients on one blob`;
  return {
    clients,
    isQuick: clients === 16,
    gets: { name, unit: 'upstream GETs', goals: [{ atMost: 1 }] },
    first: { name, unit: 'first byte ms', goals: [{ atMost: 50 }] },
    total: { name, unit: 'total s', goals: [{ of: 'direct', atMost: 1.05 }] },
  };
});

/** Many clients that want the same at the same moment, from an upstream whose pace decides how long one client takes. */
export const crowds: Workload = {
  name: 'crowds',
  about: 'many clients at once on a blob that no server has yet',
  rows: CROWDS.flatMap(({ gets, first, total }) => [gets, first, total]),
  isQuick: true,
  async measure(turn) {
    for (const crowd of CROWDS.filter(({ isQuick }) => isQuick || !turn.isQuick)) await gather(turn, crowd);
  },
};

async function gather({ field, measures, round }: Turn, { clients, gets, first, total }: Crowd): Promise<void> {
  const bytesPerSecond = TOGETHER / clients;
  const size = Math.round(bytesPerSecond * SECONDS);
  const fresh = (who: string) => field.freshBlob(`${clients} of ${who} ${round}`, size, { bytesPerSecond });
  const [direct] = await field.loaders.fetch(field.origin.target, (await fresh('direct')).request);
  measures.add(total, 'direct', (direct?.total ?? Number.NaN) / 1000);
  for (const { name, target } of field.caches)
    await attempt(name, async () => {
      const { request, digest } = await fresh(name);
      const fetched = await field.loaders.fetch(target, request, clients);
      measures.add(gets, name, (await field.origin.tally(digest)).gets);
      measures.add(first, name, median(fetched.map(({ firstByte }) => firstByte)));
      measures.add(total, name, median(fetched.map((one) => one.total)) / 1000);
    });
}

/** Others may break under a crowd: that is told, and what they lack is left out. */
async function attempt(name: ServerName, work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (cause) {
    if (name === 'layover') throw cause;
    console.error(`${name} failed: ${cause}`);
  }
}

const MEMORY: Row = { name: `memory, ${FOLLOWERS} clients on one cold blob`, unit: 'MiB', goals: [{ atMost: 300 }] };
const GETS: Row = { name: MEMORY.name, unit: 'upstream GETs', goals: [{ atMost: 1 }] };
const STALLED = 50;
const STALLED_MEMORY: Row = {
  name: `memory of a client that reads nothing, of ${STALLED}`,
  unit: 'KiB each',
  goals: [{ atMost: 700 }],
};

/** Servers that have done nothing before, so that nothing of it is counted. */
export const memory: Workload = {
  name: 'memory',
  about: 'what clients that wait or stall cost a server in memory',
  rows: [MEMORY, GETS, STALLED_MEMORY],
  rounds: 2,
  async measure(turn) {
    for (const kind of turn.field.kinds.filter(({ fills }) => fills)) {
      await attempt(kind.name, () => follow(turn, kind));
      await attempt(kind.name, () => stall(turn, kind));
    }
  },
};

async function follow({ field, measures, round }: Turn, kind: Kind): Promise<void> {
  await using server = await kind.start(await field.bed(`memory ${kind.name} ${round}`));
  const bytesPerSecond = TOGETHER / FOLLOWERS;
  const { request, digest } = await field.freshBlob(`followed ${kind.name} ${round}`, 1 << 20, { bytesPerSecond });
  const peak = await peakMiB(server.pid, () => field.loaders.fetch(server.target, request, FOLLOWERS));
  measures.add(MEMORY, kind.name, peak);
  measures.add(GETS, kind.name, (await field.origin.tally(digest)).gets);
}

async function stall({ field, measures, round }: Turn, kind: Kind): Promise<void> {
  await using server = await kind.start(await field.bed(`stalled ${kind.name} ${round}`));
  const [layer] = field.content.layers;
  if (layer === undefined) return;
  await field.loaders.fetch(server.target, layer);
  const looks: number[] = [residentMiB(server.pid)];
  await field.loaders.stall(server.target, layer, STALLED, () => looks.push(residentMiB(server.pid)));
  const [before = 0, after = 0] = looks;
  measures.add(STALLED_MEMORY, kind.name, ((after - before) * 1024) / STALLED);
}
