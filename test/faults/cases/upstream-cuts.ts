import type { FaultCase, Report, Run } from '../case.ts';
import { publishedIn, within } from '../oracles.ts';
import { pullInParts } from '../parts.ts';
import { Scene } from '../scene.ts';

const MOST_CUTS = 5;
const PER_CUT = 64 << 10;

/** Connections that end or are reset at any byte, up to five times for one blob. */
export const upstreamCuts: FaultCase = {
  name: 'upstream-cuts',
  shows: 'an upstream that is cut at any byte is resumed: right bytes or a visibly broken answer, little fetched twice',
  runs: { quick: 30, full: 1000 },
  async play(report) {
    await using scene = await Scene.open(report);
    let broken = 0;
    let excess = 0;
    for (const run of report.runs()) {
      const { isRight, over } = await cutOne(scene, run, report);
      if (!isRight) broken++;
      excess = Math.max(excess, over);
    }
    report.note(`${broken} of ${report.done} first pulls were visibly broken, all second ones right`);
    report.note(`bytes fetched twice for one cut: at most ${excess} (allowed ${PER_CUT} and a tenth of the blob)`);
    await scene.verify();
  },
};

async function cutOne(scene: Scene, { seed, random }: Run, report: Report) {
  const { upstream, gateway } = scene;
  const blob = scene.blob(seed, random.size(1, report.isQuick ? 4 << 20 : random.pick([1 << 20, 16 << 20, 64 << 20])));
  const { size } = blob.content;
  const cuts = random.int(0, MOST_CUTS);
  for (let skip = 0; skip < cuts; skip++) {
    const where = { role: 'cdn', method: 'GET', reference: blob.digest, times: 1, skip } as const;
    const cutBy = random.pick(['fin', 'rst'] as const);
    const drop = random.next() < 0.2;
    upstream.fault(where, drop ? { drop: cutBy } : { cutAfter: random.int(0, size - 1), cutBy });
  }
  const before = await gateway.counter('layover_upstream_bytes_total');
  // One in four is asked for in ranges, as clients do that go on with what they have.
  const first = random.int(0, 3) === 0 ? await pullInParts(scene, blob, random) : await scene.pull(blob);
  const fetched = (await gateway.counter('layover_upstream_bytes_total')) - before;
  const isRight = first === 'right';
  if (!isRight && (await publishedIn(gateway.data)).some(({ digest }) => digest === blob.digest)) {
    report.violation(`a blob whose pull was ${JSON.stringify(first)} is published`);
  }
  const allowed = 1.1 * size + PER_CUT * cuts;
  // Small documents of the registry count as well.
  report.expect(fetched <= allowed + 4096, `${fetched} bytes fetched for a blob of ${size} with ${cuts} cuts`);
  upstream.clearFaults();
  if (!isRight) report.expect((await scene.pull(blob)) === 'right', 'the second pull, without cuts, is not right');
  const stored = await within(60_000, async () =>
    (await publishedIn(gateway.data)).some(({ digest }) => digest === blob.digest),
  );
  report.expect(stored, 'what was pulled is not stored');
  return { isRight, over: cuts === 0 ? 0 : Math.max(0, Math.round((fetched - size) / cuts)) };
}
