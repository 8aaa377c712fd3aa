import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { parseArgs } from 'node:util';

/** The gate: format, lint, types, dead code and the tests. `--no-tests` leaves the tests out. */
interface Step {
  readonly name: string;
  readonly script: string;
  readonly args: readonly string[];
}

const STATIC: readonly Step[] = [
  { name: 'format and lint', script: 'node_modules/@biomejs/biome/bin/biome', args: ['ci', '--colors=off'] },
  { name: 'types', script: 'node_modules/typescript/bin/tsc', args: ['--noEmit'] },
  { name: 'dead code', script: 'node_modules/knip/bin/knip.js', args: ['--no-progress'] },
];
const TESTS: Step = { name: 'tests', script: 'node_modules/ava/entrypoints/cli.js', args: [] };

/** Runs a step to its end and prints how it went; resolves to whether it passed. */
async function run({ name, script, args }: Step): Promise<boolean> {
  const started = performance.now();
  const child = spawn(process.execPath, [script, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
  const output: Buffer[] = [];
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => output.push(chunk));
  const [code] = await once(child, 'close');
  const seconds = ((performance.now() - started) / 1000).toFixed(1).padStart(5);
  console.log(`${code === 0 ? 'passed' : 'FAILED'} ${seconds} s  ${name}`);
  if (code !== 0) console.log(Buffer.concat(output).toString().trimEnd());
  return code === 0;
}

const { values } = parseArgs({ options: { 'no-tests': { type: 'boolean', default: false } } });
const passed = await Promise.all(STATIC.map(run));
if (!values['no-tests']) passed.push(await run(TESTS));
if (passed.includes(false)) process.exitCode = 1;
