import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { gzipSync } from 'node:zlib';
import test, { type ExecutionContext } from 'ava';
import type { Report } from '../../src/report/report.ts';
import { jsonLine, nginxLine } from '../../src/telemetry/access-log.ts';
import { requestEvent } from '../telemetry/events.ts';

const MAIN = join(import.meta.dirname, '../../src/cli/main.ts');
/** As the launcher sets it: reading the sources takes longer than everything else. */
const COMPILED = join(import.meta.dirname, '../../node_modules/.cache/compile');

type Run = (args: readonly string[], input?: string) => Promise<{ code: number; out: string; err: string }>;

/** A directory with a configured log of two requests, a rotated one of one, and one that is compressed. */
async function place(t: ExecutionContext): Promise<{ readonly dir: string; readonly run: Run }> {
  const dir = await mkdtemp(join(tmpdir(), 'layover-log-report-'));
  t.teardown(() => rm(dir, { recursive: true }));
  const now = new Date();
  const yesterday = new Date(now.getTime() - 25 * 3_600_000);
  await writeFile(join(dir, 'gateway.yaml'), 'log: { access: { file: ./pulls.log } }\n');
  await writeFile(
    join(dir, 'pulls.log'),
    jsonLine(requestEvent({ cache: 'miss' }), now) + nginxLine(requestEvent(), now),
  );
  await writeFile(join(dir, 'pulls.log.1'), jsonLine(requestEvent(), yesterday));
  await writeFile(join(dir, 'pulls.log.2.gz'), gzipSync(jsonLine(requestEvent(), yesterday)));
  const run: Run = async (args, input = '') => {
    const child = spawn(process.execPath, [MAIN, 'log', 'report', ...args], {
      cwd: dir,
      env: { ...process.env, NODE_COMPILE_CACHE: COMPILED },
    });
    t.teardown(() => child.kill('SIGKILL'));
    child.stdin.on('error', () => {});
    child.stdin.end(input);
    const [out, err, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'exit')]);
    return { code, out, err };
  };
  return { dir, run };
}

const CONFIGURED = ['--config', 'gateway.yaml'];

test('without a file, the configured log is reported with its rotated ones', async (t) => {
  const { dir, run } = await place(t);
  const { code, out, err } = await run([...CONFIGURED, '--json']);
  t.deepEqual([code, err], [0, '']);
  const report = JSON.parse(out) as Report;
  t.deepEqual(report.totals.requests, 4);
  t.deepEqual(
    report.files,
    ['pulls.log', 'pulls.log.1', 'pulls.log.2.gz'].map((name) => join(dir, name)),
  );
});

test('--since leaves out what is older, be it a duration or a date', async (t) => {
  const { run } = await place(t);
  const since = async (start: string): Promise<number> => {
    const report: Report = JSON.parse((await run([...CONFIGURED, '--json', '--since', start])).out);
    return report.totals.requests;
  };
  t.deepEqual([await since('24h'), await since('2000-01-01'), await since('9999-12-31T23:59Z')], [2, 4, 0]);
});

test('files that are named are read alone, and - is standard input', async (t) => {
  const { run } = await place(t);
  const { code, out } = await run(['pulls.log.1', '-', '--by', 'client'], jsonLine(requestEvent(), new Date()));
  t.is(code, 0);
  t.regex(out, /2 requests, from 2 lines in 2 files/);
  t.regex(out, /^Clients$/m);
  t.notRegex(out, /^Images$/m);
});

test('--html writes a page, also over an earlier one, but never over anything else', async (t) => {
  const { dir, run } = await place(t);
  for (const _ of [1, 2]) t.is((await run([...CONFIGURED, '--html', 'page.html'])).code, 0);
  t.regex(await readFile(join(dir, 'page.html'), 'utf8'), /^<!doctype html>.*<svg/s);
  const { code, err } = await run([...CONFIGURED, '--html', 'pulls.log']);
  t.deepEqual([code, err], [2, 'layover: --html: pulls.log is there and is no page; name another file\n']);
  t.regex(await readFile(join(dir, 'pulls.log'), 'utf8'), /^\{"time"/);
});

test('what cannot be read or is not understood is one line and exit code 2', async (t) => {
  const { dir, run } = await place(t);
  await writeFile(join(dir, 'stdout.yaml'), 'log: { access: { file: "-" } }\n');
  const refused = async (...args: string[]): Promise<string> => {
    const { code, out, err } = await run(args);
    t.deepEqual([code, out, err.split('\n').length], [2, '', 2]);
    return err;
  };
  t.is(await refused('absent.log'), 'layover: absent.log: there is no such file (ENOENT)\n');
  t.regex(await refused('pulls.log', '--by', 'week'), /--by: expected one of hour, day, /);
  t.regex(await refused('pulls.log', '--since', 'yesterday'), /--since: expected a duration such as 24h/);
  t.regex(await refused('--config', 'stdout.yaml'), /log\.access\.file is standard output; name the file/);
});
