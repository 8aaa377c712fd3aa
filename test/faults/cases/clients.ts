import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect as connectTls } from 'node:tls';
import type { Blob } from '../../support/content.ts';
import type { FaultCase } from '../case.ts';
import { publishedIn, within } from '../oracles.ts';
import { Scene } from '../scene.ts';

const PATIENCE = 120_000;

/** Clients that hang up anywhere. */
export const departures: FaultCase = {
  name: 'departing-clients',
  shows: 'clients that hang up at any byte leave nothing behind, and what they began is fetched once and kept',
  // More than a thousand clients.
  runs: { quick: 15, full: 300 },
  async play(report) {
    await using scene = await Scene.open(report);
    let gone = 0;
    for (const { seed, random } of report.runs()) {
      const blob = scene.blob(seed, random.size(1000, 4 << 20));
      const bytesPerSecond = Math.max(50_000, blob.content.size * 2);
      const slow = scene.upstream.fault({ role: 'cdn', reference: blob.digest }, { bytesPerSecond });
      const leavers = Array.from({ length: random.int(1, 8) }, () =>
        scene.pull(blob, { closeAfter: random.int(1, blob.content.size - 1) }),
      );
      await Promise.all(leavers);
      gone += leavers.length;
      slow.remove();
      const kept = await within(PATIENCE, async () =>
        (await publishedIn(scene.gateway.data)).some(({ digest }) => digest === blob.digest),
      );
      report.expect(kept, 'what a client began and left was not finished');
      const gets = scene.fetches(blob);
      report.expect(gets === 1, `${gets} upstream GETs for one blob`);
      report.expect((await scene.pull(blob)) === 'right', 'the next pull is not right');
      scene.upstream.clearFaults();
    }
    report.note(`${gone} clients hung up`);
    await scene.verify();
  },
};

/** One client that reads as slowly as it can get, among many that do not. */
export const slowReader: FaultCase = {
  name: 'slow-reader',
  shows: 'a client that reads 10 KB/s delays neither the others nor the storing, and costs no memory',
  runs: { quick: 1, full: 1 },
  async play(report) {
    // More than the buffers between a gateway and a client that does not read.
    const [clients, size] = report.isQuick ? [20, 24 << 20] : [99, 1 << 30];
    await using scene = await Scene.open(report);
    for (const { seed } of report.runs()) {
      const [alone] = await pullTogether(scene, clients, scene.blob(`${seed} alone`, size));
      const blob = scene.blob(seed, size);
      const before = scene.gateway.usage().memory;
      const away = new AbortController();
      const url = `${scene.gateway.own}/v2/docker.io/library/app/blobs/${blob.digest}`;
      const options = { bytesPerSecond: 10_000, discard: true, signal: away.signal };
      const slow = scene.client.request(url, options).catch(() => undefined);
      const [took, stored] = await pullTogether(scene, clients, blob);
      const grown = scene.gateway.usage().memory - before;
      report.note(
        `${clients} clients of ${size >> 20} MiB: ${seconds(alone)} s, beside a slow one ${seconds(took)} s (goal 1.2 times), ` +
          `stored after ${seconds(stored)} s, memory +${grown >> 20} MiB (goal 64)`,
      );
      away.abort();
      await slow;
    }
    await scene.verify();
  },
};

/** Milliseconds until so many clients have a missing blob, and until it is stored. */
async function pullTogether(scene: Scene, clients: number, blob: Blob): Promise<readonly [number, number]> {
  const started = performance.now();
  const pulls = Array.from({ length: clients }, () => scene.pull(blob, { timeout: PATIENCE }));
  const stored = within(60 * PATIENCE, () => isStored(scene, blob)).then(() => performance.now() - started);
  for (const outcome of await Promise.all(pulls)) {
    scene.report.expect(outcome === 'right', `a pull among ${clients} is ${JSON.stringify(outcome)}`);
  }
  const took = performance.now() - started;
  const kept = await within(PATIENCE, () => isStored(scene, blob));
  scene.report.expect(kept, 'a blob that all have is not stored');
  return [took, await stored];
}

async function isStored({ gateway }: Scene, { digest }: Blob): Promise<boolean> {
  return (await publishedIn(gateway.data)).some((one) => one.digest === digest);
}

function seconds(milliseconds: number): string {
  return (milliseconds / 1000).toFixed(1);
}

/** Connections on which nothing happens: handshakes that do not begin, and those that are over. */
export const idlers: FaultCase = {
  name: 'idle-connections',
  shows:
    'idle connections, handshakes that do not go on and heads that drip in cost nobody else a thing, and are ended',
  runs: { quick: 1, full: 1 },
  async play(report) {
    const [idle, stuck, dripping] = report.isQuick ? [300, 100, 100] : [10_000, 1000, 500];
    // The gateway's connections and ours are files of two processes.
    await using scene = await Scene.open(report, { spareMemory: 1 << 30 });
    const blob = scene.blob('hit', 100_000);
    await scene.pull(blob);
    const { https, http } = scene.gateway.ports;
    const ca = await scene.gateway.rootCertificate();
    for (const _ of report.runs()) {
      const before = scene.gateway.usage();
      const quiet = Array.from({ length: idle }, () =>
        connectTls({ host: '127.0.0.1', port: https, ca, servername: 'quay.io' }),
      );
      for (const socket of quiet) socket.on('error', () => undefined);
      const began = performance.now();
      const bad = [
        ...Array.from({ length: stuck }, () => connect({ host: '127.0.0.1', port: https })),
        ...Array.from({ length: dripping }, () => connect({ host: '127.0.0.1', port: http })),
      ];
      let ended = 0;
      let last = 0;
      for (const [index, socket] of bad.entries()) {
        socket.on('error', () => undefined);
        // An end is seen by who reads alone.
        socket.resume();
        socket.once('close', () => {
          ended++;
          last = performance.now() - began;
        });
        socket.write(index < stuck ? Buffer.from([22, 3, 1]) : 'GET / HTTP/1.1\r\nHost: x\r\n');
      }
      const drip = setInterval(() => {
        for (const socket of bad.slice(stuck)) if (socket.writable) socket.write('X: y\r\n');
      }, 1000);
      let hits = 0;
      const watched = within(PATIENCE, async () => {
        const started = performance.now();
        report.expect((await scene.pull(blob)) === 'right', 'a hit among idle connections is not right');
        report.time('hits among idle connections', performance.now() - started, 1000);
        hits++;
        return ended === bad.length;
      });
      report.expect(
        await watched,
        `${bad.length - ended} of ${bad.length} stuck connections are open after two minutes`,
      );
      clearInterval(drip);
      const grown = scene.gateway.usage().memory - before.memory;
      report.time('the last handshake or head that does not go on is ended', last, 20_000);
      report.note(
        `${hits} hits beside ${idle} idle connections, ${stuck} handshakes and ${dripping} heads: memory +${grown >> 20} MiB (goal 600)`,
      );
      for (const socket of [...quiet, ...bad]) socket.destroy();
    }
    await sleep(100);
    await scene.verify();
  },
};
