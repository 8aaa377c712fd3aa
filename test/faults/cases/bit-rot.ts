import { chmod, open, truncate } from 'node:fs/promises';
import type { FaultCase, Report, Run } from '../case.ts';
import { publishedIn, within } from '../oracles.ts';
import { judge, Scene } from '../scene.ts';

const HARMS = ['truncated', 'emptied', 'grown', 'flipped'] as const;
/** Bytes up to which content is compared with its digest before it is served. */
const COMPARED = 64 << 10;

/** Stored files that somebody or something has shortened or lengthened. */
export const bitRot: FaultCase = {
  name: 'damaged-files',
  shows: 'a stored file that became shorter or longer, or a small one with a wrong bit, is never served as complete',
  runs: { quick: 8, full: 200 },
  async play(report) {
    await using scene = await Scene.open(report);
    let healed = 0;
    for (const run of report.runs()) if (await damage(scene, report, run)) healed++;
    report.note(`${healed} of ${report.done} damaged blobs were right at once`);
    await scene.verify();
  },
};

async function damage(scene: Scene, report: Report, { seed, random }: Run): Promise<boolean> {
  const harm = HARMS[seed % HARMS.length] ?? 'flipped';
  const blob = scene.blob(seed, random.size(2, harm === 'flipped' ? COMPARED : 1 << 20));
  const { size } = blob.content;
  await scene.pull(blob);
  let path = '';
  const isThere = await within(60_000, async () => {
    const found = (await publishedIn(scene.gateway.data)).find(({ digest }) => digest === blob.digest);
    path = found?.path ?? '';
    // What is still being published is read from where it came in.
    return found?.isSettled === true && (await scene.gateway.counter('layover_fills_running')) === 0;
  });
  if (!isThere) report.violation('what was pulled is not stored');
  if (!isThere) return false;
  await chmod(path, 0o600);
  if (harm === 'grown') {
    await using file = await open(path, 'a');
    await file.write(random.bytes(random.int(1, 1000)));
  } else if (harm === 'flipped') {
    await using file = await open(path, 'r+');
    const at = random.int(0, size - 1);
    const wrong = blob.content.read(at, at + 1);
    await file.write(Buffer.of((wrong[0] ?? 0) ^ (1 << random.int(0, 7))), 0, 1, at);
    // What is in memory already is right, and stays so: the file is read by the next process.
    await scene.gateway.down();
    await scene.gateway.up();
    await scene.measure();
  } else await truncate(path, harm === 'emptied' ? 0 : random.int(1, size - 1));
  const url = `${scene.gateway.own}/v2/docker.io/library/app/blobs/${blob.digest}`;
  const answer = await scene.client.request(url);
  const outcome = judge(answer, blob.digest);
  report.expect(
    outcome !== 'wrong',
    `a ${harm} file is served as a complete answer of ${answer.length} bytes for ${size}`,
  );
  const again = await scene.pull(blob);
  report.expect(again === 'right', `the pull after that of a ${harm} file is ${JSON.stringify(again)}`);
  return outcome === 'right';
}
