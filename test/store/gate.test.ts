import { setImmediate as turn } from 'node:timers/promises';
import test from 'ava';
import { Gate, KeyedGate } from '../../src/store/gate.ts';

test('a gate lets so many through at a time, in order, and survives their failures', async (t) => {
  const gate = new Gate(2);
  const order: number[] = [];
  let [running, most] = [0, 0];
  const tasks = Array.from({ length: 9 }, (_, index) =>
    gate.run(async () => {
      order.push(index);
      running += 1;
      most = Math.max(most, running);
      await turn();
      running -= 1;
      if (index % 3 === 0) throw new Error('failed');
    }),
  );
  const results = await Promise.allSettled(tasks);
  t.is(most, 2);
  t.deepEqual(order, [0, 1, 2, 3, 4, 5, 6, 7, 8]);
  t.is(results.filter(({ status }) => status === 'rejected').length, 3);
});

test('tasks of one key never overlap, whenever they come, and keys do not wait for each other', async (t) => {
  const gate = new KeyedGate();
  let running = 0;
  const alone = async (): Promise<void> => {
    running += 1;
    t.is(running, 1);
    for (let wait = 0; wait < 3; wait += 1) await turn();
    running -= 1;
  };
  const never = gate.run('other', () => new Promise(() => {}));
  const tasks: Promise<void>[] = [];
  for (let index = 0; index < 12; index += 1) {
    tasks.push(gate.run('a', alone));
    if (index % 2 === 1) for (let wait = 0; wait < 4; wait += 1) await turn();
  }
  await Promise.race([never, Promise.all(tasks)]);
});
