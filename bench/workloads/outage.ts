import { setTimeout as sleep } from 'node:timers/promises';
import { addImage } from '../images.ts';
import { median, type Row } from '../measures.ts';
import type { Origin } from '../origin-process.ts';
import type { Kind } from '../servers/server.ts';
import type { Turn, Workload } from '../workload.ts';

/** Milliseconds after which no answer of before counts as fresh. */
const FORGOTTEN = 1100;
const LATER_PULLS = 5;

interface Outage {
  /** Whether others answer at all, sooner or later. */
  readonly others: boolean;
  readonly first: Row;
  readonly later: Row;
  readonly begin: (origin: Origin) => void;
}

function outage(name: string, others: boolean, begin: Outage['begin']): Outage {
  return {
    others,
    begin,
    first: { name, unit: 'first tag answer ms', goals: [{ atMost: 2000 }] },
    later: { name, unit: 'later tag answers ms', goals: [{ atMost: 50 }] },
  };
}

const OUTAGES: readonly Outage[] = [
  outage('upstream gone', true, (origin) => origin[Symbol.dispose]()),
  outage('upstream silent', false, (origin) => origin.freeze()),
];

/** Servers that look a tag up at every pull; the hand-made nginx does not, it keeps answers for a day. */
export const outages: Workload = {
  name: 'outage',
  about: 'the upstream dies: when a tag that was pulled before is answered',
  rows: OUTAGES.flatMap(({ first, later }) => [first, later]),
  rounds: 2,
  async measure(turn) {
    const kinds = turn.field.kinds.filter(({ fills, name }) => fills && name !== 'nginx cache');
    for (const one of OUTAGES)
      for (const kind of kinds.filter(({ name }) => one.others || name === 'layover')) await suffer(turn, one, kind);
  },
};

async function suffer({ field, measures, round }: Turn, { first, later, begin }: Outage, kind: Kind): Promise<void> {
  using origin = await field.anotherOrigin();
  const { manifest } = await addImage(origin, 'stable', { layers: 1, size: 1 << 10 });
  await using server = await kind.start(await field.bed(`${first.name} ${kind.name} ${round}`, origin));
  const pull = async (): Promise<number> => (await field.loaders.drain(server.target, [[manifest]], 1)).total;
  await pull();
  await sleep(FORGOTTEN);
  begin(origin);
  measures.add(first, kind.name, await pull());
  const waits: number[] = [];
  for (let at = 0; at < LATER_PULLS; at++) {
    await sleep(FORGOTTEN);
    waits.push(await pull());
  }
  measures.add(later, kind.name, median(waits));
}
