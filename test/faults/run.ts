import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { type FaultCase, Report, type Time } from './case.ts';
import { cases } from './cases.ts';
import { canIsolate, isInside, missing, openLoopback, runInside } from './namespace.ts';
import { FAILED } from './seeds.ts';

const usage = `usage: npm run test:faults -- [--case NAME]… [--quick] [--runs N] [--seed N] [--list] [--gateway FILE]
  --case NAME     only cases whose name contains it; may be given more than once
  --quick         few runs of each, as for every change, from the same seed each time
  --runs N        so many runs of each case
  --seed N        the seed of the first run; the following ones have the following seeds. Without it, seeds that
                  failed once are run first
  --list          print the cases and end
  --gateway FILE  the program to test, bin/layover.js unless given`;

const { values } = parseArgs({
  options: {
    case: { type: 'string', multiple: true, default: [''] },
    quick: { type: 'boolean', default: false },
    runs: { type: 'string' },
    seed: { type: 'string' },
    list: { type: 'boolean', default: false },
    gateway: { type: 'string', default: 'bin/layover.js' },
    dir: { type: 'string' },
    help: { type: 'boolean', default: false },
  },
});

/** Milliseconds for one case, in which nothing may hang; and for each of its runs. */
const CASE_TIME = 300_000;
const RUN_TIME = values.quick ? 30_000 : 300_000;
const LONGEST = 24 * 3_600_000;

interface Row {
  readonly name: string;
  readonly runs: number;
  readonly violations: readonly string[];
  /** Milliseconds. */
  readonly worst: number;
  readonly seconds: number;
  readonly times: readonly Time[];
  readonly notes: readonly string[];
  readonly skipped?: string;
}

const chosen = cases.filter(({ name }) => values.case.some((part) => name.includes(part)));

if (values.help) console.log(usage);
else if (values.list) for (const { name, shows } of chosen) console.log(`${name.padEnd(24)}${shows}`);
else process.exitCode = isInside() ? await play(values.dir ?? '', true) : await enclose();

/** A place and namespaces for the cases, which are gone afterwards whatever happens. */
async function enclose(): Promise<number> {
  const dir = await mkdtemp(join(tmpdir(), 'layover-faults-'));
  try {
    if (!(await canIsolate())) return await play(dir, false);
    return await runInside([import.meta.filename, ...process.argv.slice(2), '--dir', dir]);
  } finally {
    await rm(dir, { recursive: true, force: true, maxRetries: 5 });
  }
}

async function play(dir: string, isolated: boolean): Promise<number> {
  if (isolated) await openLoopback();
  // A change is judged by the same runs as the one before it; the full form draws new ones.
  const seed = Number(values.seed ?? (values.quick ? 1 : Date.now() % 1_000_000));
  console.log(`faults: ${chosen.length} cases, seed ${seed}${values.quick ? ', quick' : ''}`);
  const rows: Row[] = [];
  for (const one of chosen) rows.push(await tell(await playOne(one, dir, seed, isolated)));
  printTable(rows);
  // Once more where it is looked for: what was printed as it happened is far above.
  for (const { name, violations } of rows) for (const what of violations) console.log(`VIOLATION ${name}, ${what}`);
  await mkdir('artifacts', { recursive: true });
  await writeFile('artifacts/faults.json', `${JSON.stringify({ seed, quick: values.quick, rows }, undefined, 2)}\n`);
  const played = rows.filter(({ skipped }) => skipped === undefined);
  const failed = played.filter(({ violations }) => violations.length > 0).length;
  console.log(`faults: ${played.length - failed} passed, ${failed} failed`);
  // What a case has left open may keep the process; the rest ends with the namespace.
  setTimeout(() => process.exit(), 1000).unref();
  return failed > 0 || played.length === 0 ? 1 : 0;
}

async function playOne(one: FaultCase, dir: string, seed: number, isolated: boolean): Promise<Row> {
  const started = performance.now();
  const absent = await missing((one.needs ?? []).filter((need) => need !== 'namespace'));
  const reasons = one.needs?.includes('namespace') === true && !isolated ? ['root and namespaces'] : [];
  const lacking = [...reasons, ...absent];
  const none = { name: one.name, runs: 0, violations: [], worst: 0, seconds: 0, times: [], notes: [] };
  if (lacking.length > 0) return { ...none, skipped: `needs ${lacking.join(', ')}` };
  const count = Number(values.runs ?? (values.quick ? one.runs.quick : one.runs.full));
  const first = values.seed === undefined ? (FAILED[one.name] ?? []) : [];
  const options = { dir, program: resolve(values.gateway), seed, count, quick: values.quick, first };
  const report = new Report(one.name, options);
  await report.folder('.');
  console.log(`\n${one.name}: ${one.shows} (${first.length + count} runs)`);
  const limit = Math.min(CASE_TIME + (first.length + count) * RUN_TIME, LONGEST);
  const watch = Promise.withResolvers<void>();
  const timer = setTimeout(() => watch.reject(new Error(`it hangs: not over after ${limit} ms`)), limit);
  await Promise.race([one.play(report), watch.promise]).catch((error: Error) => {
    report.violation(error.stack ?? error.message);
  });
  clearTimeout(timer);
  await rm(report.dir, { recursive: true, force: true, maxRetries: 5 }).catch(() => undefined);
  const { done, violations, worst, times, notes } = report;
  const seconds = (performance.now() - started) / 1000;
  return { name: one.name, runs: done, violations, worst, seconds, times, notes };
}

async function tell(row: Row): Promise<Row> {
  if (row.skipped !== undefined) console.log(`\n${row.name}: skipped, ${row.skipped}`);
  for (const note of row.notes) console.log(`  ${note}`);
  for (const { what, worst, goal } of row.times) {
    const verdict = worst <= goal ? 'met' : 'not met';
    console.log(`  ${what}: at worst ${shown(worst)}, goal ${shown(goal)}: ${verdict}`);
  }
  return row;
}

function shown(milliseconds: number): string {
  return milliseconds < 1000 ? `${milliseconds.toFixed(0)} ms` : `${(milliseconds / 1000).toFixed(1)} s`;
}

function printTable(rows: readonly Row[]): void {
  const width = Math.max(...rows.map(({ name }) => name.length), 4);
  console.log(`\n${'case'.padEnd(width)}    runs  violations  worst latency   took`);
  for (const { name, runs, violations, worst, seconds, skipped } of rows) {
    const cells = [
      String(runs).padStart(6),
      String(violations.length).padStart(10),
      `${Math.round(worst)} ms`.padStart(13),
      `${seconds.toFixed(0)} s`.padStart(5),
    ];
    console.log(`${name.padEnd(width)}  ${skipped === undefined ? cells.join('  ') : `skipped: ${skipped}`}`);
  }
}
