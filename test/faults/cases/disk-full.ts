import { setTimeout as sleep } from 'node:timers/promises';
import type { Blob } from '../../support/content.ts';
import type { FaultCase, Report, Run } from '../case.ts';
import { SmallDisk } from '../disk.ts';
import { publishedIn, within } from '../oracles.ts';
import { Scene } from '../scene.ts';

const SIZE = 64 << 20;
const CAP = 48 << 20;
const LARGEST = 12 << 20;
const CLIENTS = 4;
const BLOBS = 10;
/** Milliseconds after there is space again. */
const RECOVERY = 10_000;
const PATIENCE = 60_000;

/** A disk that somebody else fills while blobs come in. */
export const diskFull: FaultCase = {
  name: 'disk-full',
  shows:
    'the disk is full at a random moment: every pull is whole and right, nothing partial is published, it recovers',
  runs: { quick: 3, full: 50 },
  needs: ['namespace'],
  async play(report) {
    let full = 0;
    for (const run of report.runs()) {
      const { took, wasFull } = await fillUp(report, run);
      report.time('stored again after there was space', took, RECOVERY);
      if (wasFull) full++;
    }
    report.expect(full === report.done, `the gateway met it in ${full} of ${report.done} runs: the harness is blind`);
  },
};

async function fillUp(report: Report, { random, seed }: Run) {
  await using disk = await SmallDisk.make(await report.folder(`${seed}`), SIZE);
  // The size that it may take leaves room on the disk, so that it is the disk that ends first.
  const storage = { size: `${CAP >> 20}m`, reserve: 0 };
  await using scene = await Scene.open(report, { data: `${disk.path}/data`, storage });
  const blobs = Array.from({ length: BLOBS }, (_, index) => {
    const blob = scene.blob(`${seed} ${index}`, random.size(1 << 10, LARGEST));
    scene.upstream.fault({ role: 'cdn', reference: blob.digest }, { bytesPerSecond: random.size(4 << 20, 64 << 20) });
    return blob;
  });
  let most = 0;
  const watch = setInterval(() => {
    publishedIn(scene.gateway.data).then(
      (found) => {
        most = Math.max(
          most,
          found.reduce((sum, { size }) => sum + size, 0),
        );
      },
      () => undefined,
    );
  }, 100);
  const filling = sleep(random.int(0, 1500)).then(() => disk.fill(random.pick([0, 0, random.size(1 << 10, 8 << 20)])));
  const pulled = await pullAll(scene, blobs);
  await filling;
  clearInterval(watch);
  for (const [digest, outcome] of pulled) {
    report.expect(outcome === 'right', `with the disk full ${digest} is ${JSON.stringify(outcome)}`);
  }
  const again = await pullAll(scene, blobs.slice(0, 3));
  for (const [digest, outcome] of again)
    report.expect(outcome === 'right', `once more ${digest} is ${JSON.stringify(outcome)}`);
  await meetFullDisk(scene, disk, seed);
  report.expect(most <= CAP + LARGEST, `${most} bytes were published, with a size of ${CAP}`);
  const took = await recover(scene, disk, `${seed}`);
  await scene.verify();
  return { took, wasFull: isFull(scene) };
}

/** Nothing was missing any more when the disk became full, or too little: what else is pulled meets it. */
async function meetFullDisk(scene: Scene, disk: SmallDisk, seed: number): Promise<void> {
  await within(PATIENCE, async () => {
    if (isFull(scene)) return true;
    await disk.fill(0);
    const [[digest, outcome] = []] = await pullAll(scene, [scene.blob(`${seed} ${Math.random()}`, LARGEST)]);
    scene.report.expect(outcome === 'right', `at last ${digest} is ${JSON.stringify(outcome)}`);
    return false;
  });
}

function isFull({ gateway }: Scene): boolean {
  return /ENOSPC|leaves no room/.test(gateway.log);
}

async function pullAll(scene: Scene, blobs: readonly Blob[]) {
  const outcomes: (readonly [string, Awaited<ReturnType<Scene['pull']>>])[] = [];
  const waiting = [...blobs];
  const clients = Array.from({ length: CLIENTS }, async () => {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
      outcomes.push([next.digest, await scene.pull(next)]);
    }
  });
  await Promise.all(clients);
  return outcomes;
}

/** Milliseconds until something is stored again after the disk has space. */
async function recover(scene: Scene, disk: SmallDisk, seed: string): Promise<number> {
  await disk.empty();
  const started = performance.now();
  let turn = 0;
  const isStored = await within(PATIENCE, async () => {
    const blob = scene.blob(`${seed} after ${turn++}`, 100_000);
    if ((await scene.pull(blob)) !== 'right') scene.report.violation('a pull after the disk was full is not right');
    return (await publishedIn(scene.gateway.data)).some(({ digest }) => digest === blob.digest);
  });
  const took = performance.now() - started;
  scene.report.expect(isStored, `nothing is stored ${took.toFixed(0)} ms after there was space`);
  return took;
}
