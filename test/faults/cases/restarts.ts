import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import { Client } from '../../support/client.ts';
import type { Blob } from '../../support/content.ts';
import type { FaultCase, Report } from '../case.ts';
import { publishedIn, within } from '../oracles.ts';
import { Scene } from '../scene.ts';

const CLIENTS = 6;

/** SIGTERM while clients pull: what has begun is finished. */
export const drained: FaultCase = {
  name: 'drained-restarts',
  shows: 'SIGTERM in the midst of pulls: every answer that has begun is finished, and the process ends by itself',
  runs: { quick: 3, full: 50 },
  async play(report) {
    await using scene = await Scene.open(report);
    let longest = 0;
    for (const { seed, random } of report.runs()) {
      const blobs = Array.from({ length: CLIENTS }, (_, index) =>
        scene.blob(`${seed} ${index}`, random.size(1000, 4 << 20)),
      );
      for (const { digest, content } of blobs) {
        scene.upstream.fault({ role: 'cdn', reference: digest }, { bytesPerSecond: Math.max(20_000, content.size) });
      }
      const begun = new Set<number>();
      const pulls = blobs.map((blob, index) => scene.pull(blob, { onHead: () => begun.add(index) }));
      await sleep(random.int(0, 1200));
      const answered = [...begun];
      const started = performance.now();
      await scene.gateway.down();
      longest = Math.max(longest, performance.now() - started);
      const outcomes = await Promise.all(pulls);
      for (const index of answered) {
        report.expect(outcomes[index] === 'right', `an answer that had begun is ${JSON.stringify(outcomes[index])}`);
      }
      await scene.gateway.up();
      scene.upstream.clearFaults();
    }
    report.note(`the longest drain took ${longest.toFixed(0)} ms (allowed 30000)`);
    report.expect(longest < 35_000, `a drain took ${longest} ms`);
    await scene.measure();
    await scene.verify();
  },
};

/** Of two processes on one data directory the one that fetches is killed. */
export const takenOver: FaultCase = {
  name: 'killed-fetcher',
  shows:
    'of two processes the one that fetches is killed: clients of the other one do not notice, it goes on with what is there',
  runs: { quick: 2, full: 50 },
  async play(report) {
    await using scene = await Scene.open(report, { processes: 2 });
    const [first, second] = scene.gateways;
    if (first === undefined || second === undefined) return;
    let slowest = 0;
    for (const { seed, random } of report.runs()) {
      const blob = scene.blob(seed, random.size(8 << 20, 24 << 20));
      const stall = scene.upstream.fault(
        { role: 'cdn', reference: blob.digest, times: 1 },
        { stallAfter: random.int(5 << 20, blob.content.size - 1) },
      );
      const pulling = scene.pull(blob, {}, first);
      await within(20_000, () => scene.upstream.bytes({ role: 'cdn', reference: blob.digest }) >= 5 << 20);
      const following = scene.pull(blob, {}, second);
      await sleep(random.int(0, 300));
      const started = performance.now();
      await first.down('SIGKILL');
      stall.remove();
      await pulling;
      const outcome = await following;
      slowest = Math.max(slowest, performance.now() - started);
      report.expect(outcome === 'right', `the other process answers ${JSON.stringify(outcome)}`);
      const gets = scene.fetches(blob);
      report.expect(gets <= 2, `${gets} upstream GETs for one blob and one kill`);
      const stored = await within(10_000, async () =>
        (await publishedIn(second.data)).some(({ digest }) => digest === blob.digest),
      );
      report.expect(stored, 'what the killed process had begun is not stored by the other one');
      const bytes = scene.upstream.bytes({ role: 'cdn', reference: blob.digest });
      report.expect(bytes < 2 * blob.content.size, `${bytes} bytes sent for a blob of ${blob.content.size}`);
      await first.up();
    }
    report.note(`the other process served it at worst after ${slowest.toFixed(0)} ms`);
    await scene.measure();
    await scene.verify();
  },
};

/** Processes are replaced while clients pull, each over connections of its own. */
export const rolling: FaultCase = {
  name: 'rolling-restarts',
  shows: 'several processes are replaced one after the other while clients pull: no pull fails',
  runs: { quick: 1, full: 50 },
  async play(report) {
    await using scene = await Scene.open(report, { config: { processes: report.isQuick ? 2 : 4 } });
    try {
      using secure = await overTls(scene);
      let [pulls, longest] = [0, 0];
      for (const { seed, random } of report.runs()) {
        const warm = scene.blob('warm', 5000);
        const cold = Array.from({ length: 4 }, (_, index) =>
          scene.blob(`${seed} ${index}`, random.size(1 << 20, 4 << 20)),
        );
        for (const { digest, content } of cold) {
          scene.upstream.fault({ role: 'cdn', reference: digest }, { bytesPerSecond: content.size / 2 });
        }
        let isOver = false;
        const again = async (pull: () => Promise<string>): Promise<void> => {
          for (; !isOver; pulls += 1) {
            const outcome = await pull();
            report.expect(outcome === 'right', `a pull is ${outcome} while processes are replaced`);
            // New processes need some of the machine to start.
            await sleep(20);
          }
        };
        const plain = (blob: Blob) => async (): Promise<string> =>
          JSON.stringify(await scene.pull(blob)).replaceAll('"', '');
        const load = [warm, warm, warm, ...cold].map((blob) => again(plain(blob)));
        load.push(
          again(() => securely(secure, warm)),
          again(() => securely(secure, warm)),
        );
        const started = performance.now();
        await restart(report, scene);
        longest = Math.max(longest, performance.now() - started);
        isOver = true;
        await Promise.all(load);
        scene.upstream.clearFaults();
      }
      report.note(`${pulls} pulls during restarts, of which the longest took ${longest.toFixed(0)} ms`);
      await scene.measure();
      await scene.verify();
    } finally {
      // Killed, it would leave them behind: they serve without it.
      await scene.gateway.down();
    }
  },
};

async function restart(report: Report, scene: Scene): Promise<void> {
  const args = [report.program, 'restart', '--json', '--config', scene.gateway.file];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  const [said, [code]] = await Promise.all([text(child.stdout), once(child, 'exit')]);
  report.expect(code === 0, `layover restart ends with ${code}: ${said}`);
}

/** A client that finds the gateway by its own name, and makes a connection for each request. */
async function overTls({ gateway }: Scene): Promise<Client> {
  const there = { address: '127.0.0.1', port: gateway.ports.https };
  return new Client({ ca: await gateway.rootCertificate(), connectTo: { 'gateway.lan:443': there } });
}

async function securely(client: Client, { digest }: Blob): Promise<string> {
  const url = `https://gateway.lan/v2/docker.io/library/app/blobs/${digest}`;
  const answer = await client.request(url, { discard: true }).catch((error: Error) => error.message);
  if (typeof answer === 'string') return answer;
  return answer.digest === digest ? 'right' : `${answer.status}, ${answer.error?.message}`;
}
