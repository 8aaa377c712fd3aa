import type { Blob } from '../../support/content.ts';
import type { FaultCase, Report, Run } from '../case.ts';
import { Disk } from '../disk.ts';
import { type Published, publishedIn, within, wrongOf } from '../oracles.ts';
import { failPower, LYING_DISK, untilCut } from '../power.ts';
import { Scene } from '../scene.ts';

const CLIENTS = 4;
const BLOBS = 24;

interface Outcome {
  readonly settled: number;
  readonly lost: readonly string[];
  readonly wrong: readonly string[];
}

function powerCut(kind: 'ext4' | 'xfs'): FaultCase {
  return {
    name: `power-cut-${kind}`,
    shows: `the power fails during fills on ${kind}: what was published is there and right afterwards`,
    runs: { quick: 3, full: 100 },
    needs: ['namespace', 'xfs_io', `mkfs.${kind}`],
    async play(report) {
      let settled = 0;
      for (const run of report.runs()) {
        const outcome = await cutPower(report, run, kind, []);
        settled += outcome.settled;
        report.expect(
          outcome.lost.length === 0,
          `${outcome.lost.length} of ${outcome.settled} published blobs are lost`,
        );
        for (const wrong of outcome.wrong) report.violation(wrong);
      }
      report.note(`${settled} blobs were published before the cuts`);
      report.expect(settled > 0 || report.done < 2, 'nothing was published before any cut');
    },
  };
}

export const powerCuts: readonly FaultCase[] = [
  powerCut('ext4'),
  powerCut('xfs'),
  {
    name: 'power-cut-control',
    shows: 'the same on a disk that ignores fsync does lose blobs: the two cases above can fail',
    runs: { quick: 2, full: 6 },
    needs: ['namespace', 'xfs_io', 'mkfs.ext4', 'mkfs.xfs', 'strace'],
    async play(report) {
      for (const run of report.runs()) {
        const kind = run.seed % 2 === 0 ? 'ext4' : 'xfs';
        const { settled, lost, wrong } = await cutPower(report, run, kind, LYING_DISK);
        report.note(`${kind}: ${lost.length} lost and ${wrong.length} wrong of ${settled}`);
        report.expect(
          lost.length + wrong.length > 0,
          `nothing is lost without fsync, of ${settled}: the harness is blind`,
        );
      }
    },
  },
];

async function cutPower(report: Report, run: Run, kind: 'ext4' | 'xfs', wrapper: readonly string[]): Promise<Outcome> {
  const { random, seed } = run;
  await using disk = await Disk.make(await report.folder(`${seed}`), kind);
  await using scene = await Scene.open(report, { data: `${disk.path}/data`, storage: { reserve: 0 }, wrapper });
  const blobs = Array.from({ length: BLOBS }, (_, index) => {
    const blob = scene.blob(`${seed} ${index}`, random.size(1 << 10, 4 << 20));
    scene.upstream.fault({ role: 'cdn', reference: blob.digest }, { bytesPerSecond: random.size(1 << 20, 64 << 20) });
    return blob;
  });
  let over = false;
  const waiting = [...blobs];
  const clients = Array.from({ length: CLIENTS }, async () => {
    for (let next = waiting.shift(); next !== undefined && !over; next = waiting.shift()) await scene.pull(next);
  });
  await untilCut(random);
  // A cut before anything is published is worth a try now and then, and shows nothing.
  if (seed % 4 !== 0 || wrapper.length > 0) await within(60_000, async () => (await settledIn(scene)).length > 0);
  const settled = await settledIn(scene);
  const stop = (): void => {
    over = true;
  };
  await failPower(disk, scene, stop, clients);
  const { lost, wrong } = await compare(settled, await publishedIn(scene.gateway.data));
  if (wrapper.length === 0) await goOn(report, scene, blobs);
  return { settled: settled.length, lost, wrong };
}

async function settledIn(scene: Scene): Promise<Published[]> {
  return (await publishedIn(scene.gateway.data)).filter(({ isSettled }) => isSettled);
}

async function compare(before: readonly Published[], after: readonly Published[]) {
  const names = new Set(after.map(({ path }) => path));
  const lost = before.filter(({ path }) => !names.has(path)).map(({ digest }) => digest);
  return { lost, wrong: await wrongOf(after) };
}

/** The gateway starts on what the cut left, and serves everything. */
async function goOn(report: Report, scene: Scene, blobs: readonly Blob[]): Promise<void> {
  scene.upstream.clearFaults();
  const started = performance.now();
  await scene.gateway.up();
  report.latency(performance.now() - started);
  await scene.measure();
  for (const blob of blobs) {
    const outcome = await scene.pull(blob);
    report.expect(outcome === 'right', `after the cut ${blob.digest} is ${JSON.stringify(outcome)}`);
  }
  await scene.verify();
}
