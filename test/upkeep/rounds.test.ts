import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { Spool } from '../../src/store/spool.ts';
import { Parked } from '../../src/upkeep/parked.ts';
import { type Kept, type Schedule, Upkeep } from '../../src/upkeep/upkeep.ts';
import { eventually } from '../pull/doors.ts';
import { directoryOf } from '../store/directory.ts';
import { Stage } from './stage.ts';

const HOUR = 3_600_000;
const ROUND = 'upkeep/round';

/** Upkeep over real files, begun; what it looks after but for `more`. */
async function begin(t: ExecutionContext, schedule: Partial<Schedule>, more: Partial<Kept>): Promise<Stage> {
  const stage = await Stage.set(t, { limit: 1 << 30, indexed: false });
  const { claims, eviction, index } = stage;
  const upkeep = new Upkeep(
    {
      completion: { [Symbol.dispose]: () => undefined },
      prefetch: { [Symbol.dispose]: () => undefined },
      eviction,
      index,
      parked: new Parked(new Spool(join(directoryOf(t), 'spool')), claims),
      claims,
      rounds: { last: async () => undefined, ended: async () => undefined },
      space: { state: () => ({ used: 0, reserved: 0, limit: 1, trusted: false }), onPressure: () => undefined },
      recount: async () => undefined,
      sweep: async () => undefined,
      ...more,
    },
    { begin: 0, every: HOUR, parked: HOUR, temporaries: HOUR, ...schedule },
  );
  t.teardown(() => upkeep[Symbol.asyncDispose]());
  upkeep.start();
  return stage;
}

test('what one process looks after, another one that starts meanwhile leaves to it', async (t) => {
  const counting = Promise.withResolvers<void>();
  t.teardown(() => counting.resolve());
  let counts = 0;
  const recount = (): Promise<void> => {
    counts += 1;
    return counting.promise;
  };
  const { claims } = await begin(t, {}, { recount });
  await eventually(
    async () => counts,
    (count) => count === 1,
    20_000,
  );
  let refusals = 0;
  const watched: Kept['claims'] = Object.assign(Object.create(claims), {
    async acquire(name: string) {
      const claim = await claims.acquire(name);
      if (claim === undefined && name === ROUND) refusals += 1;
      return claim;
    },
  });
  await begin(t, {}, { recount, claims: watched });
  await eventually(
    async () => refusals,
    (count) => count === 1,
    20_000,
  );
  t.is(counts, 1);
  counting.resolve();
  await eventually(
    () => claims.acquire(ROUND),
    (claim) => claim !== undefined,
    20_000,
  );
});

test('a round that another process has ended lately is not done again, and one of yesterday is', async (t) => {
  let [looks, counts, ended] = [0, 0, 0];
  const rounds = {
    async last() {
      looks += 1;
      return looks > 3 ? Date.now() - 24 * HOUR : Date.now();
    },
    async ended() {
      ended += 1;
    },
  };
  const space: Kept['space'] = {
    state: () => ({ used: 0, reserved: 0, limit: 1, trusted: true }),
    onPressure: () => undefined,
  };
  const seen: number[] = [];
  const recount = async (): Promise<void> => {
    seen.push(looks);
    counts += 1;
  };
  await begin(t, { every: 200 }, { rounds, space, recount });
  await eventually(
    async () => ended,
    (count) => count > 0,
    20_000,
  );
  t.is(seen[0], 4);
  t.true(counts > 0);
});
