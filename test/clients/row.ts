import { cp, glob } from 'node:fs/promises';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { Gateway, gatewayAddress } from './gateway.ts';
import { Machine, workspace } from './machine.ts';
import { run } from './process.ts';
import { type Row, type Step, steps } from './steps.ts';
import { clients, type Result, upstreams } from './table.ts';

/** Names that lead to the gateway on the client's machine. */
const redirected = ['docker.io', 'registry-1.docker.io', 'index.docker.io', 'auth.docker.io', 'ghcr.io', 'quay.io'];

const { values } = parseArgs({
  options: {
    client: { type: 'string', default: '' },
    upstream: { type: 'string', default: '' },
    release: { type: 'string', default: '/' },
    gateway: { type: 'string', default: '' },
    logs: { type: 'string', default: '' },
  },
});

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
  const client = clients.get(values.client)?.client;
  const startUpstream = upstreams.get(values.upstream);
  if (client === undefined || startUpstream === undefined) throw new Error('no such client or upstream');
  await run(['ip', 'link', 'set', 'lo', 'up']);
  await run(['ip', 'address', 'add', `${gatewayAddress}/32`, 'dev', 'lo']);
  const hosts = new Map([['localhost', '127.0.0.1'], ...redirected.map((name) => [name, gatewayAddress] as const)]);
  const machine = await Machine.mount(values.release, hosts);
  const version = (await machine.run(client.version)).toString().trim();
  await using upstream = await startUpstream();
  await using gateway = await Gateway.start(values.gateway, upstream);
  await machine.trust(await gateway.certificate());
  for (const step of steps) {
    if (step.applies(upstream)) await runStep(step, { client, machine, upstream, gateway }, version);
  }
}

/** Runs one cell and prints its result as a line of JSON, the parent's only source. */
async function runStep(step: Step, row: Row, version: string): Promise<void> {
  const started = performance.now();
  const error = await step.run(row).then(() => undefined, chain);
  failed ||= error !== undefined;
  const result: Result = {
    client: values.client,
    upstream: values.upstream,
    version,
    step: step.name,
    milliseconds: Math.round(performance.now() - started),
    ...(error !== undefined && { error }),
  };
  process.stdout.write(`${JSON.stringify(result)}\n`);
}

/** The message of an error and of its causes. */
function chain(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.cause === undefined ? error.message : `${error.message}: ${chain(error.cause)}`;
}

async function keepLogs(folder: string): Promise<void> {
  const target = join(folder, `${values.client} ${values.upstream}`.replaceAll(/\W+/g, '-'));
  for await (const log of glob('*/*.log', { cwd: workspace })) await cp(join(workspace, log), join(target, log));
}
