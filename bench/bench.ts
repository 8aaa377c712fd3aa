import { mkdir, writeFile } from 'node:fs/promises';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { Field } from './field.ts';
import { Measures } from './measures.ts';
import { report } from './report.ts';
import { measureCold } from './rows/cold.ts';
import { measureFirstStart, measureStart } from './rows/start.ts';
import { measureIdle, measureWarm } from './rows/warm.ts';

/** Layover beside nginx and docker-registry, in front of one upstream, on this machine alone. */
const { values } = parseArgs({ options: { quick: { type: 'boolean', default: false }, rounds: { type: 'string' } } });
const rounds = Number(values.rounds ?? (values.quick ? 3 : 5));
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1));

const began = new Date();
const measures = new Measures();
await using field = await Field.open();
measureFirstStart(field, measures);
measureIdle(field, measures);
await field.warmUp();
for (let round = 0; round < rounds; round++) {
  console.error(`round ${round + 1} of ${rounds} …`);
  await measureWarm(field, measures, values.quick ? 1000 : 3000);
  await measureCold(field, measures, round);
  await measureStart(field, measures, round);
}

const machine = { processor: cpus()[0]?.model ?? '', cores: cpus().length, node: process.version };
console.log(`\n${machine.cores} × ${machine.processor}, Node ${machine.node}, loopback, TLS 1.3 with AES-128-GCM`);
console.log(`medians of ${rounds} interleaved rounds (least–greatest); 1 GB is 10⁹ bytes\n\n${report(measures)}\n`);
const results = join(import.meta.dirname, 'results');
await mkdir(results, { recursive: true });
const file = join(results, `${began.toISOString().replaceAll(':', '-')}.json`);
await writeFile(file, `${JSON.stringify({ began, machine, rounds, measures }, undefined, 2)}\n`);
console.log(`raw figures: ${file}`);
