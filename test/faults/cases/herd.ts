import type { FaultCase } from '../case.ts';
import { Scene } from '../scene.ts';

const CLIENTS = 1000;
/** Two blocks of 64 KiB for each answer, and its connection. */
const spareMemory = CLIENTS * (400 << 10);

function herd(name: string, processes: number, shows: string): FaultCase {
  return {
    name,
    shows,
    runs: { quick: 1, full: 3 },
    async play(report) {
      await using scene = await Scene.open(report, { processes, spareMemory });
      for (const { seed } of report.runs()) {
        const blob = scene.blob(seed, report.isQuick ? 1 << 20 : 8 << 20);
        scene.upstream.addBlob('library/other', blob);
        // Long enough in coming that everybody is there before it is over.
        const bytesPerSecond = blob.content.size / 2;
        scene.upstream.fault({ role: 'cdn', reference: blob.digest }, { bytesPerSecond });
        const pulls = Array.from({ length: CLIENTS }, (_, index) =>
          scene.pull(blob, { timeout: 300_000 }, scene.gateways[index % processes]),
        );
        const outcomes = await Promise.all(pulls);
        const right = outcomes.filter((outcome) => outcome === 'right').length;
        report.expect(right === CLIENTS, `${CLIENTS - right} of ${CLIENTS} pulls are not right`);
        const gets = scene.fetches(blob);
        report.expect(gets === 1, `${gets} upstream GETs instead of one`);
        scene.upstream.clearFaults();
      }
      const memory = Math.max(...scene.gateways.map((gateway) => gateway.usage().memory));
      report.note(`memory of the largest process afterwards: ${memory >> 20} MiB`);
      await scene.verify();
    },
  };
}

export const herds: readonly FaultCase[] = [
  herd('thousand-clients', 1, 'a thousand clients of one missing blob cost one upstream GET, and all get right bytes'),
  herd(
    'thousand-clients-shared',
    4,
    'a thousand clients of four processes that share a data directory cost one upstream GET, and all get right bytes',
  ),
];
