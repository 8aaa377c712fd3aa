import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { runIsolated } from '../clients/namespace.ts';
import { execute, missing } from '../faults/namespace.ts';
import { readDocument } from '../support/markdown.ts';
import type { Walk } from './systemd-walk.ts';

const UNIT = 'deploy/systemd/layover.service';
/** What `systemd-analyze security` says of the unit, in tenths: from 0, which is safe, to 100. */
const EXPOSURE = 15;
const unit = await readDocument(UNIT);
const absent = await missing(['systemd-analyze']);

function skipped(t: ExecutionContext, reason: string | undefined): boolean {
  if (reason === undefined) return false;
  t.log(`skipped: ${reason}`);
  t.pass();
  return true;
}

const withoutAnalysis = absent.length === 0 ? undefined : 'there is no systemd-analyze';

test('systemd finds nothing wrong with the unit', async (t) => {
  if (skipped(t, withoutAnalysis)) return;
  const dir = await mkdtemp(join(tmpdir(), 'layover-unit-'));
  t.teardown(() => rm(dir, { recursive: true }));
  const file = join(dir, 'layover.service');
  await writeFile(file, unit.replace('/opt/layover/layover', process.execPath));
  const { stdout, stderr } = await execute('systemd-analyze', ['verify', file]);
  t.is(stdout + stderr, '');
});

test('the unit is exposed no more than it has to be', async (t) => {
  if (skipped(t, withoutAnalysis)) return;
  const args = ['security', '--offline=true', '--no-pager', `--threshold=${EXPOSURE}`, UNIT];
  const { stdout } = await execute('systemd-analyze', args);
  t.log(stdout.trim().split('\n').at(-1));
  t.regex(stdout, /Overall exposure level for layover\.service: \d/);
});

test('the unit waits longer for its end than running answers get', async (t) => {
  const [, drain = '0'] = /DRAIN = ([\d_]+)/.exec(await readDocument('src/cli/start.ts')) ?? [];
  const [, stop = '0'] = /^TimeoutStopSec=(\d+)$/m.exec(unit) ?? [];
  t.true(Number(drain.replace('_', '')) >= 10_000);
  t.true(Number(stop) * 1000 >= Number(drain.replace('_', '')) + 5000);
});

test('installed under systemd as the page says, it serves on port 443 without root, reloads, stops, and leaves no trace', async (t) => {
  t.timeout(600_000);
  if (skipped(t, await obstacle())) return;
  let told = '';
  const program = join(import.meta.dirname, 'systemd-walk.ts');
  await runIsolated(program, [], 500_000, (line) => {
    told = line;
  });
  const { digests, ping, status, accessLog, log, stopped, files } = JSON.parse(told) as Walk;
  t.is(digests[0], digests[1]);
  t.true([200, 401].includes(ping), `${ping}`);
  t.notRegex(status, /^Uid:.*\t0\b/m);
  for (const line of ['CapEff:\t0000000000000400', 'CapBnd:\t0000000000000400', 'NoNewPrivs:\t1', 'Seccomp:\t2'])
    t.true(status.includes(`\n${line}\n`), line);
  t.regex(accessLog, /"repository":"library\/alpine"/);
  t.regex(log, /https {2}\[::\]:443|https {2}0\.0\.0\.0:443/);
  t.notRegex(log, /"level":"error"/);
  t.is(files[1], files[0]);
  t.is(stopped, 'Result=success\nExecMainStatus=0\nActiveState=inactive');
});

/** Why no systemd can be started here beside the machine's own. */
async function obstacle(): Promise<string | undefined> {
  if (process.getuid?.() !== 0) return 'not root';
  const needed = await missing(['systemd', 'systemd-sysusers', 'systemctl', 'unshare', 'nsenter', 'pivot_root', 'ip']);
  if (needed.length > 0) return `no ${needed.join(', ')}`;
  const script = 'mount -t tmpfs tmpfs /mnt && mkdir /mnt/cgroup && mount -t cgroup2 cgroup2 /mnt/cgroup';
  const tried = execute('unshare', [
    '--mount',
    '--pid',
    '--ipc',
    '--uts',
    '--cgroup',
    '--net',
    '--fork',
    'sh',
    '-ec',
    script,
  ]);
  return await tried.then(
    () => undefined,
    (error: Error) => `namespaces and control groups cannot be had: ${error.message}`,
  );
}
