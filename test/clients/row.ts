import { cp, glob } from 'node:fs/promises';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { Gateway } from './gateway.ts';
import { Machine, workspace } from './machine.ts';
import { run } from './process.ts';
import { type Step, steps } from './steps.ts';
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

/** Prints one line of JSON per cell: the parent's only source. */
function report(step: Step, started: number, error?: unknown): void {
  const result: Result = {
    client: values.client,
    upstream: values.upstream,
    version,
    step: step.name,
    milliseconds: Math.round(performance.now() - started),
    ...(error !== undefined && { error: error instanceof Error ? error.message : String(error) }),
  };
  process.stdout.write(`${JSON.stringify(result)}\n`);
}

const client = clients.get(values.client)?.client;
const startUpstream = upstreams.get(values.upstream);
if (client === undefined || startUpstream === undefined) throw new Error('no such client or upstream');

await run(['ip', 'link', 'set', 'lo', 'up']);
const machine = await Machine.mount(values.release, ['localhost', ...redirected]);
await using upstream = await startUpstream();
await using gateway = await Gateway.start(values.gateway, upstream);
await machine.trust(await gateway.certificate());

const version = (await machine.run(client.version)).toString().trim();
let failed = false;
for (const step of steps) {
  if (!step.applies(upstream)) continue;
  const started = performance.now();
  try {
    await step.run({ client, machine, upstream, gateway });
    report(step, started);
  } catch (error) {
    failed = true;
    report(step, started, error);
  }
}
if (failed) await keepLogs(values.logs);

async function keepLogs(folder: string): Promise<void> {
  const target = join(folder, `${values.client} ${values.upstream}`.replaceAll(/\W+/g, '-'));
  for await (const log of glob('*/*.log', { cwd: workspace })) await cp(join(workspace, log), join(target, log));
}
