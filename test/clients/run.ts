import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { runIsolated } from './namespace.ts';
import { publishResults } from './publish.ts';
import { prepareRelease, requirePrograms } from './releases.ts';
import { rows as allRows, type Generation, type Result, type RowName, testedClient, titleOf } from './table.ts';

const usage = `usage: npm run test:clients -- [--only TEXT] [--list] [--publish] [--gateway FILE]
  --only TEXT     only rows whose "client × door × upstream" contains the text; the others keep their last results
  --list          print the rows and end
  --publish       run nothing, write the README's tables from the last results
  --gateway FILE  the program to test, bin/layover.js unless given`;

const { values } = parseArgs({
  options: {
    only: { type: 'string', default: '' },
    list: { type: 'boolean', default: false },
    publish: { type: 'boolean', default: false },
    gateway: { type: 'string', default: 'bin/layover.js' },
    help: { type: 'boolean', default: false },
  },
});

const artifacts = resolve('artifacts');
const file = join(artifacts, 'clients.json');
const rows = allRows().filter((row) => titleOf(row).includes(values.only));

if (values.help) console.log(usage);
else if (values.list) console.log(rows.map(titleOf).join('\n'));
else if (values.publish) await publishResults(await lastResults());
else await main().catch(giveUp);

/** Without what it needs nothing is tested, which is a failure too. */
function giveUp(error: Error): void {
  console.error(error.message);
  console.log('clients: 0 passed, 1 failed');
  process.exitCode = 1;
}

async function main(): Promise<void> {
  if (process.getuid?.() !== 0) throw new Error('test:clients needs root: it makes namespaces and mounts');
  await requirePrograms();
  const started = performance.now();
  const folders = new Map<Generation, string>();
  for (const { generation } of rows) {
    if (!folders.has(generation)) folders.set(generation, await prepareRelease(generation));
  }
  for (const prepare of new Set(rows.map((row) => testedClient(row).prepare))) await prepare?.();
  console.log(`clients ready after ${seconds(performance.now() - started)}`);
  const results: Result[] = [];
  const waiting = [...rows];
  const work = async () => {
    for (let row = waiting.shift(); row !== undefined; row = waiting.shift()) {
      await runRow(row, folders.get(row.generation) ?? '/', (result) => {
        results.push(result);
        console.log(line(result));
      });
    }
  };
  await Promise.all([work(), work()]);
  for (const row of unsteady(results)) {
    const before = results.splice(0);
    results.push(...before.filter((result) => titleOf(result) !== titleOf(row)));
    await runRow(row, folders.get(row.generation) ?? '/', (result) => {
      results.push(result);
      console.log(line(result));
    });
  }
  await keep(results);
  printTable(results);
  const tried = results.filter((result) => result.cannot === undefined);
  const failures = tried.filter((result) => result.error !== undefined).length;
  console.log(`clients: ${tried.length - failures} passed, ${failures} failed`);
  if (failures > 0 || tried.length === 0) process.exitCode = 1;
}

/**
 * The few rows with a failure, to be run once more alone. What they print now is for whoever mends them: a failure that
 * does not come again is one, too.
 */
function unsteady(results: readonly Result[]): RowName[] {
  const failures = results.filter(({ error }) => error !== undefined);
  const failed = rows.filter((row) => failures.some((result) => titleOf(result) === titleOf(row)));
  if (failed.length > 3) return [];
  for (const failure of failures) console.log(`unsteady: ${line(failure)}`);
  return failed;
}

async function keep(results: readonly Result[]): Promise<void> {
  const run = new Set(rows.map(titleOf));
  const others = values.only === '' ? [] : await lastResults().catch(() => []);
  const all = [...others.filter((result) => !run.has(titleOf(result))), ...results];
  await mkdir(artifacts, { recursive: true });
  await writeFile(file, `${JSON.stringify(all, undefined, 2)}\n`);
}

async function lastResults(): Promise<Result[]> {
  return JSON.parse(await readFile(file, 'utf8')) as Result[];
}

/** A row that ends early counts as one more failed cell. */
async function runRow(row: RowName, folder: string, onResult: (result: Result) => void): Promise<void> {
  const started = performance.now();
  const args = Object.entries({ ...row, folder, gateway: resolve(values.gateway), logs: artifacts });
  const program = resolve(import.meta.dirname, 'row.ts');
  const flags = args.flatMap(([name, value]) => [`--${name}`, value]);
  try {
    await runIsolated(program, flags, 300_000, (text) => onResult(JSON.parse(text) as Result));
  } catch (cause) {
    const milliseconds = Math.round(performance.now() - started);
    onResult({ ...row, step: 'row', milliseconds, error: (cause as Error).message });
  }
}

function line(result: Result): string {
  const { step, milliseconds, cannot, error } = result;
  const mark = error !== undefined ? 'FAIL' : cannot === undefined ? 'ok  ' : '–   ';
  const reason = error === undefined ? '' : `\n      ${error.trim().replaceAll('\n', '\n      ')}`;
  return `${mark} ${titleOf(result)}: ${step} (${cannot ?? seconds(milliseconds)})${reason}`;
}

function printTable(results: readonly Result[]): void {
  const names = [...new Set(results.map(({ step }) => step))];
  const width = Math.max(...rows.map((row) => titleOf(row).length));
  console.log(`\n${''.padEnd(width)}  ${names.join('  ')}`);
  for (const row of rows) {
    const cells = names.map((name) => {
      const cell = results.find((result) => titleOf(result) === titleOf(row) && result.step === name);
      const mark = cell?.error !== undefined ? 'FAIL' : cell === undefined || cell.cannot !== undefined ? '–' : 'ok';
      return mark.padEnd(name.length);
    });
    console.log(`${titleOf(row).padEnd(width)}  ${cells.join('  ')}`);
  }
  const versions = new Map(results.map(({ client, generation, version }) => [`${client} ${generation}`, version]));
  for (const [client, version] of versions) console.log(`${client}: ${version ?? 'unknown'}`);
}

function seconds(milliseconds: number): string {
  return `${(milliseconds / 1000).toFixed(1)} s`;
}
