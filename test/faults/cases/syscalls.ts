import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { FaultCase, Report, Run } from '../case.ts';
import { publishedIn, within } from '../oracles.ts';
import { Random } from '../random.ts';
import { Scene } from '../scene.ts';

const CALLS = ['openat', 'pwrite64', 'fsync', 'link', 'rename', 'unlink', 'pread64', 'mkdir', 'ftruncate', 'fchmod'];
const ERRORS = ['EIO', 'ENOSPC', 'EDQUOT', 'EROFS', 'EMFILE', 'EACCES'];
/** strace counts for each thread by itself, and there are sixteen. */
const LATEST = 5;
const PULLS = 6;
/** Comes before all others, because it is certain to meet the gateway. */
const ALL_FSYNCS = { call: 'fsync', error: 'EIO', when: '1+' };

/** The n-th system call of a kind fails, once or from then on. */
export const syscalls: FaultCase = {
  name: 'failing-syscalls',
  shows: 'when a system call fails, once or for good, pulls are right or visibly fail, and all is well afterwards',
  runs: { quick: 12, full: 800 },
  needs: ['strace'],
  async play(report) {
    await using scene = await Scene.open(report);
    const outcomes = new Map<string, number>();
    let failed = 0;
    failed += await inject(scene, report, { seed: 0, random: new Random(0) }, outcomes, ALL_FSYNCS);
    for (const run of report.runs()) failed += await inject(scene, report, run, outcomes);
    report.note(`${failed} system calls failed`);
    report.expect(failed > 0, 'no system call failed, although one run fails every fsync: the harness is blind');
    report.note([...outcomes].map(([outcome, count]) => `${outcome}: ${count}`).join(', '));
    await scene.verify();
  },
};

async function inject(
  scene: Scene,
  report: Report,
  { seed, random }: Pick<Run, 'seed' | 'random'>,
  outcomes: Map<string, number>,
  instead?: typeof ALL_FSYNCS,
): Promise<number> {
  const drawn = { call: random.pick(CALLS), error: random.pick(ERRORS) };
  const nth = `${random.int(1, LATEST)}${random.pick(['', '+'])}`;
  const { call, error, when } = instead ?? { ...drawn, when: nth };
  const name = `${call}:error=${error}:when=${when}`;
  const blobs = Array.from({ length: PULLS }, (_, index) => scene.blob(`${seed} ${index}`, random.size(100, 1 << 20)));
  const trace = join(report.dir, `${seed}.strace`);
  const stop = await attach(scene.gateway.pid, call, name, trace);
  for (const outcome of await Promise.all(blobs.map((blob) => scene.pull(blob, { timeout: 60_000 })))) {
    const told = typeof outcome === 'string' ? outcome : `refused ${outcome.refused}`;
    const key = outcome === 'right' ? told : `${told} (${name})`;
    outcomes.set(key, (outcomes.get(key) ?? 0) + 1);
  }
  if (call === 'fsync' && when === '1+') {
    const published = (await publishedIn(scene.gateway.data)).map(({ digest }) => digest);
    report.expect(!blobs.some(({ digest }) => published.includes(digest)), 'published although no fsync succeeded');
  }
  await stop();
  for (const blob of blobs) {
    const right = await within(60_000, async () => (await scene.pull(blob)) === 'right');
    report.expect(right, `after ${name} a pull is not right`);
  }
  const kept = await within(60_000, async () => {
    const probe = scene.blob(`${seed} ${Math.random()}`, 1000);
    await scene.pull(probe);
    await sleep(100);
    return (await publishedIn(scene.gateway.data)).some(({ digest }) => digest === probe.digest);
  });
  report.expect(kept, `after ${name} nothing is stored any more`);
  return (await readFile(trace, 'latin1')).split('(INJECTED)').length - 1;
}

/** Lets calls of a running process fail; resolves, when they do, with what ends it. */
async function attach(pid: number, call: string, injection: string, trace: string): Promise<() => Promise<void>> {
  const args = ['-f', '-o', trace, '-e', `trace=${call}`, '-e', `inject=${injection}`, '-p', `${pid}`];
  const tracer = spawn('strace', args, { stdio: ['ignore', 'ignore', 'pipe'] });
  const ended = once(tracer, 'exit');
  let said = '';
  tracer.stderr.on('data', (chunk: Buffer) => {
    said += chunk;
  });
  if (!(await within(60_000, () => said.includes('attached')))) throw new Error(`strace: ${said}`);
  return async () => {
    tracer.kill('SIGINT');
    await ended;
  };
}
