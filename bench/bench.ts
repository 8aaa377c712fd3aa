import { mkdir, writeFile } from 'node:fs/promises';
import { cpus, loadavg } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { explainedInDocument, title, unexplained } from './explanations.ts';
import { Field } from './field.ts';
import { Measures } from './measures.ts';
import { publishFile, type Results } from './publish.ts';
import { conclusion, report } from './report.ts';
import type { Workload } from './workload.ts';
import { chosen } from './workloads.ts';

/** Layover beside nginx, docker-registry and distribution, in front of one upstream, on this machine alone. */
const { values } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    rounds: { type: 'string' },
    only: { type: 'string', multiple: true, default: [] },
    list: { type: 'boolean', default: false },
    json: { type: 'string' },
    publish: { type: 'string' },
  },
});
const { quick: isQuick } = values;
const names = values.only.flatMap((text) => text.split(',')).map((name) => name.trim());
const all = chosen(names, isQuick);
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1));
if (values.list) list(all);
else if (values.publish !== undefined) await publishFile(values.publish);
else await run(all, Number(values.rounds ?? (isQuick ? 3 : 5)));

function list(workloads: readonly Workload[]): void {
  for (const { name, about, rows } of workloads) {
    console.log(`${name}: ${about}`);
    for (const row of rows) console.log(`  ${title(row)}${row.goals === undefined ? '' : ' (has a goal)'}`);
  }
}

async function run(workloads: readonly Workload[], rounds: number): Promise<void> {
  const began = new Date();
  const measures = new Measures();
  const machine = { processor: cpus()[0]?.model ?? '', cores: cpus().length, node: process.version };
  /** Before each round and at the end: what others did on the machine. */
  const loads = [loadavg()[0] ?? 0];
  const able = await possible(workloads);
  let file = '';
  {
    await using field = await Field.open(isQuick);
    for (let round = 0; round < rounds; round++) {
      for (const workload of able.filter((one) => round < (one.rounds ?? rounds))) {
        console.error(`${clock(began)} round ${round + 1} of ${rounds}: ${workload.name} …`);
        await workload
          .measure({ field, measures, round, time: isQuick ? 700 : 1000, isQuick })
          .catch((error: Error) => {
            console.error(`${workload.name} failed: ${error.stack}`);
            process.exitCode = 1;
          });
      }
      loads.push(loadavg()[0] ?? 0);
      file = await keep({ began, machine, loads, rounds: round + 1, isQuick, only: names, measures });
    }
  }
  const known = await explainedInDocument();
  console.log(`\n${machine.cores} × ${machine.processor}, Node ${machine.node}, loopback, TLS 1.3 with AES-128-GCM`);
  console.log(`load ${loads.map((load) => load.toFixed(1)).join(', ')}; took ${clock(began)}`);
  console.log(`medians of up to ${rounds} interleaved rounds (least–greatest); 1 GB is 10⁹ bytes\n`);
  console.log(`${report(measures)}\n\n${conclusion(measures, known)}\n\nraw figures: ${file}`);
  // A few short rounds on a machine that does other things judge nothing.
  if (!isQuick && unexplained(measures, known).length > 0) process.exitCode = 1;
}

async function possible(workloads: readonly Workload[]): Promise<Workload[]> {
  const able: Workload[] = [];
  for (const workload of workloads) {
    const reason = await workload.cannot?.();
    if (reason === undefined) able.push(workload);
    else console.log(`${workload.name} is left out: ${reason}`);
  }
  return able;
}

/** What there is so far, so that a run that is cut off is not in vain. */
async function keep(results: Results): Promise<string> {
  const name = `${new Date(results.began).toISOString().replaceAll(':', '-')}.json`;
  const file = resolve(values.json ?? join(import.meta.dirname, 'results', name));
  await mkdir(dirname(file), { recursive: true });
  await writeFile(file, `${JSON.stringify(results, undefined, 2)}\n`);
  return file;
}

/** Minutes and seconds since then. */
function clock(began: Date): string {
  const seconds = Math.round((Date.now() - began.getTime()) / 1000);
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, '0')}`;
}
