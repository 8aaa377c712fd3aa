import type { FaultCase, Report } from '../case.ts';
import { send, statusesOf } from '../connection.ts';
import { within } from '../oracles.ts';
import { RawRegistry } from '../raw-registry.ts';
import { Scene } from '../scene.ts';
import { type Vector, vectors } from '../smuggling-vectors.ts';

const AT_ONCE = 24;
/** Milliseconds that an ambiguous request may keep its connection; heads have fifteen seconds. */
const PATIENCE = 60_000;
const IDLE = 3_000;

/** Requests of which two readers may see two, in front of a registry that writes down what reaches it. */
export const smuggling: FaultCase = {
  name: 'smuggled-requests',
  shows: 'no request hides in another: the upstream sees what was asked for and no more, ambiguity ends the connection',
  runs: { quick: 1, full: 3 },
  async play(report) {
    await using registry = await RawRegistry.start(({ socket, method }) => {
      socket.write(`HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n${method === 'HEAD' ? '' : '{}'}`);
    });
    const settings = { urls: [`http://${registry.authority}`], tokenHosts: [], blobHosts: [] };
    await using scene = await Scene.open(report, { further: { 'quay.io': settings } });
    const ca = await scene.gateway.rootCertificate();
    for (const { seed } of report.runs()) {
      const all = vectors(`${seed}`);
      const waiting = [...all];
      const work = async (): Promise<void> => {
        for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
          await tryOne(scene, registry, ca, next, report);
        }
      };
      await Promise.all(Array.from({ length: AT_ONCE }, work));
      report.note(`${all.length} vectors, ${registry.requests.length} requests seen upstream so far`);
    }
    for (const oddity of new Set(registry.oddities)) report.violation(`the upstream was sent ${oddity}`);
    registry.hangUp();
    await scene.verify();
  },
};

async function tryOne(scene: Scene, registry: RawRegistry, ca: string, vector: Vector, report: Report): Promise<void> {
  const { http, https } = scene.gateway.ports;
  const at = vector.over === 'plain' ? { port: http } : { port: https, tls: { ca, servername: 'quay.io' } };
  const started = performance.now();
  const { text, closed } = await send(at, vector.bytes, vector.isAmbiguous ? PATIENCE : IDLE);
  const statuses = statusesOf(text);
  const isSmuggled = () => registry.requests.some(({ target }) => target.includes(vector.marker));
  if (vector.isControl) await within(PATIENCE, isSmuggled);
  const smuggled = isSmuggled();
  if (vector.isControl) return report.expect(smuggled, `“${vector.name}”: the harness does not see what gets through`);
  report.latency(performance.now() - started);
  const asked = registry.requests.filter(({ target }) => target.includes(vector.own)).length;
  const name = `“${vector.name}” over ${vector.over}`;
  report.expect(!smuggled, `${name}: the hidden request reached the upstream`);
  report.expect(asked <= vector.most, `${name}: the upstream was asked ${asked} times`);
  report.expect(
    statuses.slice(1).every((status) => status >= 400),
    `${name}: answered ${statuses.join(', ')}`,
  );
  if (!vector.isAmbiguous) return;
  report.expect(closed, `${name}: the connection stays open`);
  report.expect(
    statuses.every((status) => status >= 400),
    `${name}: answered ${statuses.join(', ')}`,
  );
}
