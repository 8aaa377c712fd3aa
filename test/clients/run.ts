import { mkdir, writeFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { runIsolated } from './namespace.ts';
import { prepareRelease, requirePrograms } from './releases.ts';
import { steps } from './steps.ts';
import { clients, type Release, type Result, upstreams } from './table.ts';

const usage = `usage: npm run test:clients -- [--only TEXT] [--list] [--gateway FILE]
  --only TEXT     only rows whose "client × upstream" contains the text
  --list          print the rows and end
  --gateway FILE  the program to test, bin/layover.js unless given`;

interface Row {
  readonly client: string;
  readonly upstream: string;
  readonly release: Release;
}

const { values } = parseArgs({
  options: {
    only: { type: 'string', default: '' },
    list: { type: 'boolean', default: false },
    gateway: { type: 'string', default: 'bin/layover.js' },
    help: { type: 'boolean', default: false },
  },
});

const artifacts = resolve('artifacts');
const rows: Row[] = [...clients]
  .flatMap(([client, { release }]) => [...upstreams.keys()].map((upstream) => ({ client, release, upstream })))
  .filter((row) => title(row).includes(values.only));

function title({ client, upstream }: Row): string {
  return `${client} × ${upstream}`;
}

if (values.help) console.log(usage);
else if (values.list) console.log(rows.map(title).join('\n'));
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
  const releases = new Map<Release, string>();
  for (const release of new Set(rows.map((row) => row.release))) releases.set(release, await prepareRelease(release));
  console.log(`releases ready after ${seconds(performance.now() - started)}`);
  const results: Result[] = [];
  const waiting = [...rows];
  const work = async () => {
    for (let row = waiting.shift(); row !== undefined; row = waiting.shift()) {
      await runRow(row, releases.get(row.release) ?? '/', (result) => {
        results.push(result);
        console.log(line(result));
      });
    }
  };
  await Promise.all([work(), work()]);
  await mkdir(artifacts, { recursive: true });
  await writeFile(`${artifacts}/clients.json`, `${JSON.stringify(results, undefined, 2)}\n`);
  printTable(results);
  const failures = results.filter((result) => result.error !== undefined).length;
  console.log(`clients: ${results.length - failures} passed, ${failures} failed`);
  if (failures > 0 || results.length === 0) process.exitCode = 1;
}

/** A row that ends early counts as one more failed cell. */
async function runRow({ client, upstream }: Row, release: string, onResult: (result: Result) => void): Promise<void> {
  const started = performance.now();
  const args = Object.entries({ client, upstream, release, gateway: resolve(values.gateway), logs: artifacts });
  const program = resolve(import.meta.dirname, 'row.ts');
  const flags = args.flatMap(([name, value]) => [`--${name}`, value]);
  try {
    await runIsolated(program, flags, 300_000, (text) => onResult(JSON.parse(text) as Result));
  } catch (cause) {
    const milliseconds = Math.round(performance.now() - started);
    onResult({ client, upstream, step: 'row', milliseconds, error: (cause as Error).message });
  }
}

function line({ client, upstream, step, milliseconds, error }: Result): string {
  const reason = error === undefined ? '' : `\n      ${error.trim().replaceAll('\n', '\n      ')}`;
  return `${error === undefined ? 'ok  ' : 'FAIL'} ${client} × ${upstream}: ${step} (${seconds(milliseconds)})${reason}`;
}

function printTable(results: readonly Result[]): void {
  const names = [...steps.map((step) => step.name), 'row'].filter((name) => results.some(({ step }) => step === name));
  const width = Math.max(...rows.map((row) => title(row).length));
  console.log(`\n${''.padEnd(width)}  ${names.join('  ')}`);
  for (const row of rows) {
    const cells = names.map((name) => {
      const cell = results.find((result) => title({ ...row, ...result }) === title(row) && result.step === name);
      return (cell === undefined ? '–' : cell.error === undefined ? 'ok' : 'FAIL').padEnd(name.length);
    });
    console.log(`${title(row).padEnd(width)}  ${cells.join('  ')}`);
  }
  const versions = new Map(results.map(({ client, version }) => [client, version]));
  for (const [client, version] of versions) console.log(`${client}: ${version ?? 'unknown'}`);
}

function seconds(milliseconds: number): string {
  return `${(milliseconds / 1000).toFixed(1)} s`;
}
