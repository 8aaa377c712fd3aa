import type { Blob } from '../../support/content.ts';
import type { FaultCase, Report, Run } from '../case.ts';
import { Firewall } from '../firewall.ts';
import { missing } from '../namespace.ts';
import { within } from '../oracles.ts';
import { Scene } from '../scene.ts';

/** Bytes per second of an upstream that dribbles. */
const DRIBBLE = 1024;
/** Percent of the packets between the gateway and the upstream. */
const LOSS = 5;
const HITS = 40;

/** Upstreams that send a kilobyte a second, or half of a blob and then nothing, over a line that loses packets. */
export const slowUpstreams: FaultCase = {
  name: 'slow-upstreams',
  shows:
    'upstreams that dribble, stall and lose packets are waited for or gone on with, and keep no hit from being served',
  runs: { quick: 1, full: 3 },
  needs: ['namespace'],
  async play(report) {
    await using scene = await Scene.open(report);
    const hit = scene.blob('hit', 100_000);
    await scene.pull(hit);
    for (const run of report.runs()) await slowDown(report, scene, run, hit);
    await scene.verify();
  },
};

async function slowDown(report: Report, scene: Scene, { seed, random }: Run, hit: Blob): Promise<void> {
  const { upstream } = scene;
  await using _ = await lossyLine(report, scene);
  // A stall takes the gateway's patience, half a minute: too long for every change.
  const [dribbling, stalled] = report.isQuick ? [24, 0] : [200, 200];
  const before = await hits(report, scene, hit);
  const slow = Array.from({ length: dribbling }, (_, index) => {
    const blob = scene.blob(`${seed} dribbles ${index}`, (report.isQuick ? 12 : 60) * DRIBBLE);
    upstream.fault({ role: 'cdn', reference: blob.digest }, { bytesPerSecond: DRIBBLE });
    return blob;
  });
  const halves = Array.from({ length: stalled }, (_, index) => {
    const blob = scene.blob(`${seed} stalls ${index}`, random.size(1000, 400_000));
    const stallAfter = blob.content.size >> 1;
    upstream.fault({ role: 'cdn', reference: blob.digest, times: 1 }, { stallAfter });
    return blob;
  });
  const started = performance.now();
  const dribbles = Promise.all(slow.map((blob) => scene.pull(blob, { timeout: 180_000 })));
  let longest = 0;
  const stalls = Promise.all(
    halves.map(async (blob) => {
      const outcome = await scene.pull(blob, { timeout: 180_000 });
      longest = Math.max(longest, performance.now() - started);
      return outcome;
    }),
  );
  const meanwhile = await hits(report, scene, hit);
  const outcomes = [...(await dribbles), ...(await stalls)];
  const late = outcomes.filter((outcome) => outcome !== 'right');
  const isTold = late.every(
    (outcome) => outcome === 'broken' || (typeof outcome === 'object' && outcome.refused === 504),
  );
  report.expect(isTold, `of a slow upstream came ${JSON.stringify(late.slice(0, 5))}`);
  report.note(
    `${outcomes.length - late.length} of ${outcomes.length} slow answers came at once, ${late.length} were visibly given up`,
  );
  upstream.clearFaults();
  for (const blob of [...slow, ...halves]) {
    // Answers that are running dribble on, and hold the connections that there are to this upstream.
    const isRight = await within(180_000, async () => (await scene.pull(blob)) === 'right');
    report.expect(isRight, 'what was slow is not right afterwards');
  }
  for (const blob of halves) {
    const bytes = upstream.bytes({ role: 'cdn', reference: blob.digest });
    // What was on its way when the stalled connection was given up may be lost with it.
    report.expect(bytes <= 1.6 * blob.content.size, `${bytes} bytes were sent of ${blob.content.size}`);
  }
  if (stalled > 0) report.time('the end of answers that stalled', longest, 32_000);
  report.time('hits beside slow answers, the 99th of 100 against twice as long before', meanwhile, 2 * before);
}

/** The line to the upstream, where packets can be made to get lost. */
async function lossyLine(report: Report, { upstream }: Scene): Promise<AsyncDisposable> {
  if ((await missing(['nft'])).length > 0) {
    report.note('no packets get lost: there is no nft on this machine');
    return { [Symbol.asyncDispose]: async () => undefined };
  }
  const firewall = await Firewall.raise();
  await firewall.lose(
    LOSS,
    upstream.roles.map((role) => upstream.listener(role).port),
  );
  return firewall;
}

/** The 99th of a hundred times (milliseconds) that a cached blob takes. */
async function hits(report: Report, scene: Scene, blob: Blob): Promise<number> {
  const times: number[] = [];
  for (let turn = 0; turn < HITS; turn++) {
    const started = performance.now();
    report.expect((await scene.pull(blob)) === 'right', 'a hit beside slow upstreams is not right');
    times.push(performance.now() - started);
  }
  return times.sort((one, other) => one - other)[Math.floor(0.99 * HITS)] ?? 0;
}
