import { setTimeout as sleep } from 'node:timers/promises';
import type { Blob } from '../../support/content.ts';
import type { FaultCase, Report, Run } from '../case.ts';
import { type Published, publishedIn, temporariesIn, wrongOf } from '../oracles.ts';
import type { Random } from '../random.ts';
import { Scene } from '../scene.ts';

const CLIENTS = 8;
const BLOBS = 20;
/** Milliseconds. */
const LATEST_KILL = 2000;

/** kill -9 of every process that shares a data directory, at any moment of their fills. */
export const killedGateway: FaultCase = {
  name: 'killed-gateway',
  shows: 'kill -9 of all processes at a random moment: nothing wrong is stored or served, nothing published is lost',
  runs: { quick: 4, full: 500 },
  async play(report) {
    await using scene = await Scene.open(report, { processes: report.isQuick ? 2 : 4 });
    const old: Blob[] = [scene.blob('always there', 100_000)];
    await scene.pull(old[0] ?? scene.blob('', 1));
    for (const run of report.runs()) {
      const fresh = Array.from({ length: BLOBS }, (_, index) => makeOne(scene, run, index));
      const published = await killWhilePulling(scene, [...fresh, ...old.slice(-4)], run.random);
      const started = performance.now();
      await Promise.all(scene.gateways.map((gateway) => gateway.up()));
      report.expect((await scene.pull(old[0] ?? scene.blob('', 1))) === 'right', 'what was cached is not served');
      report.time('first pull after kill -9, start included', performance.now() - started, 2000);
      await compare(report, published, await publishedIn(scene.gateway.data));
      scene.upstream.clearFaults();
      for (const blob of fresh) await pullAfterwards(scene, blob, run.random);
      old.push(...fresh.slice(-2));
    }
    await scene.measure();
    const left = await temporariesIn(scene.gateway.data);
    report.note(`${left.length} temporary files of killed processes wait to be an hour old and swept`);
    await scene.verify();
  },
};

function makeOne(scene: Scene, { seed, random }: Run, index: number): Blob {
  const blob = scene.blob(`${seed} ${index}`, random.size(1 << 10, index === 0 ? 64 << 20 : 4 << 20));
  // Fills last about as long as the process does.
  const bytesPerSecond = Math.max(20_000, blob.content.size / (0.2 + 2 * random.next()));
  scene.upstream.fault({ role: 'cdn', reference: blob.digest }, { bytesPerSecond });
  return blob;
}

/** What was published when the processes were gone. */
async function killWhilePulling(scene: Scene, blobs: readonly Blob[], random: Random): Promise<Published[]> {
  let over = false;
  const clients = Array.from({ length: CLIENTS }, async () => {
    while (!over) await scene.pull(random.pick(blobs), {}, random.pick(scene.gateways));
  });
  await sleep(random.int(0, LATEST_KILL));
  await Promise.all(scene.gateways.map((gateway) => gateway.down('SIGKILL')));
  over = true;
  await Promise.all(clients);
  return publishedIn(scene.gateway.data);
}

async function compare(report: Report, before: readonly Published[], after: readonly Published[]): Promise<void> {
  const names = new Set(after.map(({ path }) => path));
  const lost = before.filter(({ path }) => !names.has(path));
  report.expect(lost.length === 0, `${lost.length} published files are lost`);
  for (const wrong of await wrongOf(after.slice(-200))) report.violation(wrong);
}

async function pullAfterwards(scene: Scene, blob: Blob, random: Random): Promise<void> {
  const outcome = await scene.pull(blob, {}, random.pick(scene.gateways));
  if (outcome !== 'right') scene.report.violation(`after the restart ${blob.digest} is ${JSON.stringify(outcome)}`);
}
