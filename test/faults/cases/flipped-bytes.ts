import type { FaultCase, Report, Run } from '../case.ts';
import { filesBelow, within } from '../oracles.ts';
import { Scene } from '../scene.ts';

/** One wrong byte in a body of the right length. */
export const flippedBytes: FaultCase = {
  name: 'flipped-bytes',
  shows: 'a byte flipped anywhere never ends in a complete answer, is not stored, and the next pull fetches anew',
  runs: { quick: 30, full: 1000 },
  async play(report) {
    await using scene = await Scene.open(report);
    for (const run of report.runs()) await flipOne(scene, run, report);
    // Of many alike the log has the first ones.
    report.expect(scene.gateway.log.includes('received bytes that are not sha256:'), 'nobody is told of wrong bytes');
    await scene.verify();
  },
};

async function flipOne(scene: Scene, { seed, random }: Run, report: Report): Promise<void> {
  const { upstream, gateway } = scene;
  // Blobs of a byte or two would soon be there already.
  const blob = scene.blob(seed, random.size(8, report.isQuick ? 2 << 20 : 32 << 20));
  const { size } = blob.content;
  const corruptAt = random.pick([0, size - 1, random.int(0, size - 1), Math.max(0, size - random.int(1, 1 << 16))]);
  const fault = upstream.fault({ role: 'cdn', reference: blob.digest }, { corruptAt });
  const clients = random.pick([1, 1, 3]);
  const outcomes = await Promise.all(Array.from({ length: clients }, () => scene.pull(blob)));
  report.expect(!outcomes.includes('right'), `byte ${corruptAt} of ${size} was wrong, and the pull is right`);
  const hex = blob.digest.split(':')[1] ?? '';
  const clean = await within(60_000, async () => {
    const files = await filesBelow(gateway.data);
    return !files.some((path) => path.includes(hex) && /\/blobs\/|\.part$/.test(path));
  });
  report.expect(clean, `bytes that are not ${blob.digest} stay in the data directory`);
  fault.remove();
  const before = scene.fetches(blob);
  report.expect((await scene.pull(blob)) === 'right', 'the next pull is not right');
  report.expect(scene.fetches(blob) === before + 1, 'the next pull did not fetch the blob anew');
  upstream.clearFaults();
}
