import { setTimeout as sleep } from 'node:timers/promises';
import test from 'ava';
import { Client } from '../support/client.ts';
import { makeBlob } from '../support/content.ts';
import { Fleet, until } from './fleet.ts';

test.serial('while processes are replaced, none of many short connections fails', async (t) => {
  const fleet = await Fleet.start(t, 2);
  const blob = makeBlob('small', 3000);
  fleet.upstream.addBlob('library/app', blob);
  const url = `${fleet.own}/v2/docker.io/library/app/blobs/${blob.digest}`;
  using client = new Client();
  t.is((await client.request(url)).digest, blob.digest);
  const before = await fleet.workers();
  t.is(before.length, 2);

  let isOver = false;
  let pulls = 0;
  const failures: string[] = [];
  const pull = async (): Promise<void> => {
    while (!isOver) {
      const answer = await client.request(url).catch((error: Error) => error);
      pulls += 1;
      // New processes need some of the machine to start.
      await sleep(10);
      if (answer instanceof Error) failures.push(answer.message);
      else if (answer.status !== 200 || answer.digest !== blob.digest)
        failures.push(`${answer.status} ${answer.error}`);
    }
  };
  const pulling = Array.from({ length: 8 }, pull);
  for (let round = 0; round < 2; round += 1) {
    const { code, said } = await fleet.run('restart');
    t.is(code, 0, said);
    t.is(JSON.parse(said).processes, 2);
  }
  isOver = true;
  await Promise.all(pulling);
  t.log(`${pulls} pulls`);
  t.true(pulls > 20);
  t.deepEqual(failures, []);
  await until(async () => (await fleet.workers()).length === 2);
  t.false((await fleet.workers()).some((pid) => before.includes(pid)));
  // Whoever went has left what it counted to those that came.
  const counted = async (): Promise<number> => {
    const lines = (await fleet.ask('/metrics')).matchAll(/^layover_requests_total\{.*kind="blob".*\} (\d+)$/gm);
    return [...lines].reduce((sum, [, count]) => sum + Number(count), 0);
  };
  await until(async () => (await counted()) === pulls + 1);
});
