import type { Fault } from '../../support/upstream/fault.ts';
import type { FaultCase, Report, Run } from '../case.ts';
import { publishedIn, within } from '../oracles.ts';
import { Scene } from '../scene.ts';

const MIB = 1 << 20;
/** Of each connection, so that blobs are fetched over several. */
const BYTES_PER_SECOND = 3 * MIB;
const WIDTH = 4;

/** What goes wrong with pieces that come over connections of their own. */
export const brokenPieces: FaultCase = {
  name: 'broken-pieces',
  shows:
    'a blob over four connections stays right when pieces are cut, refused, ignored or wrong, little fetched twice',
  runs: { quick: 4, full: 200 },
  async play(report) {
    await using scene = await Scene.open(report, { registry: { parallel: WIDTH } });
    let widest = 0;
    for (const run of report.runs()) widest = Math.max(widest, await breakOne(scene, run, report));
    report.note(`a blob came in up to ${widest} answers`);
    await scene.verify();
  },
};

/** Resolves to the answers that the first pull took. */
async function breakOne(scene: Scene, { seed, random }: Run, report: Report): Promise<number> {
  const { upstream, gateway } = scene;
  const blob = scene.blob(seed, random.int(6 * MIB, 12 * MIB));
  const { size } = blob.content;
  const where = { role: 'cdn', method: 'GET', reference: blob.digest } as const;
  upstream.fault(where, { bytesPerSecond: BYTES_PER_SECOND });
  const faults = random.int(0, 4);
  for (let fault = 0; fault < faults; fault++) {
    const piece = { ...where, times: 1, skip: random.int(0, 6) };
    const cutBy = random.pick(['fin', 'rst'] as const);
    const cut = { cutAfter: random.int(0, 2 * MIB), cutBy };
    upstream.fault(piece, random.pick([cut, cut, cut, { drop: cutBy }, { status: 503 }, { ignoreRange: true }]));
  }
  const wrong: Fault | undefined =
    random.int(0, 3) === 0 ? upstream.fault(where, { corruptAt: random.int(0, size - 1) }) : undefined;
  const before = await gateway.counter('layover_upstream_bytes_total');
  const isRight = (await scene.pull(blob)) === 'right';
  const fetched = (await gateway.counter('layover_upstream_bytes_total')) - before;
  const answers = scene.fetches(blob);
  const isPublished = async (): Promise<boolean> =>
    (await publishedIn(gateway.data)).some(({ digest }) => digest === blob.digest);
  if (wrong !== undefined) report.expect(!isRight && !(await isPublished()), 'a wrong byte in a piece went unnoticed');
  // An answer with the whole instead of a piece is given up where it overlaps; what is on its way by then is lost.
  else report.expect(fetched <= 1.1 * size + faults * MIB, `${fetched} bytes fetched for ${size}, ${faults} faults`);
  upstream.clearFaults();
  if (!isRight) report.expect((await scene.pull(blob)) === 'right', 'the second pull, without faults, is not right');
  report.expect(await within(60_000, isPublished), 'what was pulled is not stored');
  return answers;
}
