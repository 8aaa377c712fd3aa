import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { stripVTControlCharacters } from 'node:util';
import type { Blob } from '../../support/content.ts';
import type { FaultCase } from '../case.ts';
import { Scene } from '../scene.ts';

/** What slowhttptest calls its ways of holding on to a server. */
const MODES: Readonly<Record<string, readonly string[]>> = {
  'slow heads': ['-H', '-i', '5'],
  'slow bodies': ['-B', '-i', '5', '-s', '65536'],
  'overlapping ranges': ['-R', '-a', '1', '-b', '3000'],
  'slow reading': ['-X', '-n', '5', '-w', '1', '-y', '64', '-k', '3'],
};

/** The program of that name against the plain listener, all its modes at once. */
export const slowHttp: FaultCase = {
  name: 'slow-http-attacks',
  shows: 'thousands of connections that send and read as slowly as they can keep nobody else from being served',
  runs: { quick: 1, full: 1 },
  needs: ['slowhttptest'],
  async play(report) {
    const [connections, seconds] = report.isQuick ? [200, 10] : [2000, 240];
    await using scene = await Scene.open(report, { spareMemory: 1 << 30 });
    const canary = scene.blob('canary', 100_000);
    // Over loopback the kernel takes a megabyte for each reader: of many that would be all that it has for TCP.
    const large = scene.blob('read slowly', 128 << 10);
    for (const blob of [canary, large]) await scene.pull(blob);
    const url = `${scene.gateway.own}/v2/docker.io/library/app/blobs/${large.digest}`;
    for (const _ of report.runs()) {
      const modes = Object.entries(MODES).map(
        ([mode, words]) =>
          () =>
            attack(mode, words, url, connections, seconds),
      );
      // All at once are quicker, one after the other what an attacker does.
      for (const turn of report.isQuick ? [modes] : modes.map((mode) => [mode])) await endure(scene, canary, turn);
    }
    report.expect(scene.gateway.isRunning, 'the gateway is gone');
    await scene.verify();
  },
};

/** Hits have to be served as long as attacks last. */
async function endure(scene: Scene, canary: Blob, attacks: readonly (() => Promise<string>)[]): Promise<void> {
  const { report } = scene;
  let isOver = false;
  const ended = Promise.all(attacks.map((begin) => begin())).finally(() => {
    isOver = true;
  });
  let hits = 0;
  while (!isOver) {
    const started = performance.now();
    report.expect((await scene.pull(canary)) === 'right', 'a hit in the midst of the attack is not right');
    report.time('hits meanwhile', performance.now() - started, 1000);
    hits++;
    await sleep(100);
  }
  for (const said of await ended) report.note(said);
  report.note(`${hits} hits meanwhile`);
}

/** What the program says in the end of its connections. */
async function attack(mode: string, words: readonly string[], url: string, connections: number, seconds: number) {
  const size = ['-c', `${connections}`, '-r', `${connections / 5}`, '-l', `${seconds}`];
  const child = spawn('slowhttptest', [...words, ...size, '-v', '1', '-p', '3', '-u', url], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let said = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => (said += chunk));
  // It ends by itself; one that does not must not keep the case.
  const impatience = setTimeout(() => child.kill('SIGKILL'), (seconds + 60) * 1000);
  const [code] = await once(child, 'exit');
  clearTimeout(impatience);
  const text = stripVTControlCharacters(said);
  const figures = ['connected', 'closed'].map((word) => {
    const all = [...text.matchAll(new RegExp(`^${word}: +(\\d+)`, 'gm'))].map(([, count]) => Number(count));
    return `${word} at most ${Math.max(...all, 0)}`;
  });
  const isAway = /^service available: +NO/m.test(text) ? ', once not available to its probe within 3 s' : '';
  return `${mode}: ${connections} connections for ${seconds} s, ${figures.join(', ')}${isAway} (exit code ${code})`;
}
