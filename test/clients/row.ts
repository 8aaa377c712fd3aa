import { cp, glob } from 'node:fs/promises';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import type { Door } from './doors.ts';
import { Gateway, gatewayAddress, gatewayName } from './gateway.ts';
import { Machine, workspace } from './machine.ts';
import { run } from './process.ts';
import { type Row, type Step, steps } from './steps.ts';
import { type Generation, type Result, type RowName, testedClient, titleOf, upstreams } from './table.ts';
import type { Upstream } from './upstreams/upstream.ts';

/** Names that lead to the gateway on the client's machine. */
const redirected = ['docker.io', 'registry-1.docker.io', 'index.docker.io', 'auth.docker.io', 'ghcr.io', 'quay.io'];

const { values } = parseArgs({
  options: {
    client: { type: 'string', default: '' },
    generation: { type: 'string', default: '' },
    door: { type: 'string', default: '' },
    upstream: { type: 'string', default: '' },
    folder: { type: 'string', default: '/' },
    gateway: { type: 'string', default: '' },
    logs: { type: 'string', default: '' },
  },
});

const { client, door, upstream } = values;
const name: RowName = { client, door, upstream, generation: values.generation as Generation };
let failed = false;
try {
  await runSteps();
} catch (error) {
  failed = true;
  console.error(chain(error));
  process.exitCode = 1;
}
if (failed) await keepLogs(values.logs);
process.exit(); // whatever still runs ends with the namespace

async function runSteps(): Promise<void> {
  const tested = testedClient(name);
  const door = tested.doors.find((entry) => entry.name === name.door);
  const startUpstream = upstreams.get(name.upstream);
  if (door === undefined || startUpstream === undefined) throw new Error('no such door or upstream');
  await run(['ip', 'link', 'set', 'lo', 'up']);
  await run(['ip', 'address', 'add', `${gatewayAddress}/32`, 'dev', 'lo']);
  const machine = await Machine.mount(values.folder);
  await using upstream = await startUpstream();
  await machine.resolve(hostsOf(door, upstream));
  const version = (await machine.run(tested.client.version)).toString().trim();
  await using gateway = await Gateway.start(values.gateway, upstream);
  await machine.trust((await gateway.certificate()) + (door.kind === 'mirror' ? upstream.ca : ''));
  await machine.write(door.files);
  const row = { client: tested.client, door, machine, upstream, gateway };
  for (const step of tested.steps ?? steps) await runStep(step, row, version);
}

/** Where names lead on the client's machine: through the transparent door to the gateway, otherwise to the registry. */
function hostsOf({ kind }: Door, upstream: Upstream): Map<string, string> {
  const local = [
    ['localhost', '127.0.0.1'],
    [gatewayName, gatewayAddress],
  ] as const;
  const registries = redirected.map((host) => [host, gatewayAddress] as const);
  return new Map([...local, ...(kind === 'transparent' ? registries : upstream.hosts)]);
}

/** Runs one cell and prints its result as a line of JSON, the parent's only source. */
async function runStep(step: Step, row: Row, version: string): Promise<void> {
  const started = performance.now();
  const cannot = row.client.cannot?.[step.name] ?? step.cannot?.(row);
  const error = cannot === undefined ? await step.run(row).then(() => undefined, chain) : undefined;
  failed ||= error !== undefined;
  const milliseconds = Math.round(performance.now() - started);
  const remark = row.client.remarks?.[step.name];
  const outcome = {
    ...(cannot !== undefined && { cannot }),
    ...(cannot === undefined && remark !== undefined && { remark }),
    ...(error !== undefined && { error }),
  };
  const result: Result = { ...name, version, step: step.name, milliseconds, ...outcome };
  process.stdout.write(`${JSON.stringify(result)}\n`);
}

/** The message of an error and of its causes. */
function chain(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.cause === undefined ? error.message : `${error.message}: ${chain(error.cause)}`;
}

async function keepLogs(folder: string): Promise<void> {
  const target = join(folder, titleOf(name).replaceAll(/\W+/g, '-'));
  for await (const log of glob('*/*.log', { cwd: workspace })) await cp(join(workspace, log), join(target, log));
}
