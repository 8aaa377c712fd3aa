import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { globSync } from 'node:fs';
import { parseArgs } from 'node:util';

/**
 * The gate before a commit: format, lint, types, dead code and the tests of the parts. `--all` adds those that walk through
 * whole gateways, which take minutes and are in `npm test`; `--no-tests` leaves all tests out.
 */
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
/** Tests with gateways, processes, disks and imitated registries of their own: two minutes of computing together. */
const WALKS = [
  'test/auth/{account,accounts,matrix,public,secrets,tokens}.test.ts',
  'test/{faults,fleet,pack,pull,space,upkeep}/*.test.ts',
  'test/hosted/{clients,mounts,survival,uploads}.test.ts',
  'test/support/profiles.test.ts',
  'test/doctor/{cures,machines,upstreams}.test.ts',
  'test/index/{beside,scale}.test.ts',
  'test/install/systemd.test.ts',
  'test/pages/{browser,live,privacy}.test.ts',
  'test/report/browser.test.ts',
  'test/setup/{apply,real,script,served}.test.ts',
  'test/telemetry/shared-log.test.ts',
  'test/bin/launch.test.ts',
  'test/cli/{ca,check,commands,doctor,setup,user}.test.ts',
  'test/config/examples.test.ts',
  'test/nginx/{beside,walk}.test.ts',
  'test/readme.test.ts',
  'test/tls/{first-start,go,openssl}.test.ts',
  'test/upstream/secrets.test.ts',
  'test/users/clients.test.ts',
];

/** Waiting for sockets and disks leaves room for more files at a time than there are cores. */
function tests(isAll: boolean): Step {
  const files = isAll ? [] : globSync('test/**/*.test.ts', { exclude: WALKS });
  return { name: 'tests', script: 'node_modules/ava/entrypoints/cli.js', args: ['--concurrency', '4', ...files] };
}

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

const { values } = parseArgs({
  options: { all: { type: 'boolean', default: false }, 'no-tests': { type: 'boolean', default: false } },
});
const passed = await Promise.all(STATIC.map(run));
if (!values['no-tests']) passed.push(await run(tests(values.all)));
if (passed.includes(false)) process.exitCode = 1;
