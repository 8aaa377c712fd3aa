import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect as connectTls } from 'node:tls';
import type { FaultCase } from '../case.ts';
import { publishedIn, within } from '../oracles.ts';
import { Scene } from '../scene.ts';

const PATIENCE = 30_000;
/** More than the buffers between a gateway and a client that does not read. */
const SLOW_BLOB = 24 << 20;

/** Clients that hang up anywhere. */
export const departures: FaultCase = {
  name: 'departing-clients',
  shows: 'clients that hang up at any byte leave nothing behind, and what they began is fetched once and kept',
  runs: { quick: 15, full: 300 },
  async play(report) {
    await using scene = await Scene.open(report);
    for (const { seed, random } of report.runs()) {
      const blob = scene.blob(seed, random.size(1000, 4 << 20));
      const bytesPerSecond = Math.max(50_000, blob.content.size * 2);
      const slow = scene.upstream.fault({ role: 'cdn', reference: blob.digest }, { bytesPerSecond });
      const leavers = Array.from({ length: random.int(1, 8) }, () =>
        scene.pull(blob, { closeAfter: random.int(1, blob.content.size - 1) }),
      );
      await Promise.all(leavers);
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
    await scene.verify();
  },
};

/** One client that reads as slowly as it can get, among many that do not. */
export const slowReader: FaultCase = {
  name: 'slow-reader',
  shows: 'a client that reads 10 KB/s delays neither the others nor the storing, and costs no memory',
  runs: { quick: 1, full: 5 },
  async play(report) {
    await using scene = await Scene.open(report);
    for (const { seed } of report.runs()) {
      const blob = scene.blob(seed, SLOW_BLOB);
      const before = scene.gateway.usage().memory;
      const away = new AbortController();
      const slow = scene.client
        .request(`${scene.gateway.own}/v2/docker.io/library/app/blobs/${blob.digest}`, {
          bytesPerSecond: 10_000,
          discard: true,
          signal: away.signal,
        })
        .catch(() => undefined);
      const started = performance.now();
      const outcomes = await Promise.all(Array.from({ length: 20 }, () => scene.pull(blob)));
      const took = performance.now() - started;
      report.expect(
        outcomes.every((outcome) => outcome === 'right'),
        'a pull beside a slow reader is not right',
      );
      const stored = await within(PATIENCE, async () =>
        (await publishedIn(scene.gateway.data)).some(({ digest }) => digest === blob.digest),
      );
      report.expect(stored, 'a slow reader keeps a blob from being stored');
      const again = performance.now();
      await Promise.all(Array.from({ length: 20 }, () => scene.pull(blob)));
      const warm = performance.now() - again;
      const grown = scene.gateway.usage().memory - before;
      report.note(
        `20 clients beside a slow one, ${SLOW_BLOB >> 20} MiB each: cold ${took.toFixed(0)} ms, warm ${warm.toFixed(0)} ms, memory +${grown >> 20} MiB`,
      );
      away.abort();
      await slow;
    }
    await scene.verify();
  },
};

/** Connections on which nothing happens: handshakes that do not begin, and those that are over. */
export const idlers: FaultCase = {
  name: 'idle-connections',
  shows:
    'idle connections, handshakes that do not go on and heads that drip in cost nobody else a thing, and are ended',
  runs: { quick: 1, full: 1 },
  async play(report) {
    const [idle, stuck, dripping] = report.isQuick ? [300, 100, 100] : [4000, 1000, 1000];
    await using scene = await Scene.open(report);
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
      let worst = 0;
      const watched = within(60_000, async () => {
        const started = performance.now();
        report.expect((await scene.pull(blob)) === 'right', 'a hit among idle connections is not right');
        worst = Math.max(worst, performance.now() - started);
        return ended === bad.length;
      });
      report.expect(await watched, `${bad.length - ended} of ${bad.length} stuck connections are open after a minute`);
      clearInterval(drip);
      const grown = scene.gateway.usage().memory - before.memory;
      report.note(
        `${stuck} handshakes and ${dripping} heads that do not go on: the last is ended after ${(last / 1000).toFixed(0)} s`,
      );
      report.note(
        `hits meanwhile at worst ${worst.toFixed(0)} ms, ${idle} idle connections: memory +${grown >> 20} MiB`,
      );
      for (const socket of [...quiet, ...bad]) socket.destroy();
    }
    await sleep(100);
    await scene.verify();
  },
};
