import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import type { ExecutionContext } from 'ava';
import { Client } from '../support/client.ts';
import { makeImage } from '../support/image.ts';
import { readDocument } from '../support/markdown.ts';
import { pull } from '../support/pull/pull.ts';
import { type FakeUpstream, startUpstream } from '../support/upstream/upstream.ts';

type Program = ChildProcessByStdio<null, Readable, Readable>;

export interface Ran {
  readonly code: unknown;
  readonly out: string;
  readonly err: string;
}

interface Greeting {
  readonly http: string;
  readonly processes?: number;
  readonly ca: { readonly fingerprint: string };
}

/** Layover as it was installed somewhere. */
export interface Installed {
  /** Program and first arguments; they begin in `dir`, or change to it. */
  readonly command: readonly string[];
  /** An empty directory: everything that is written lies in it. */
  readonly dir: string;
  readonly env?: NodeJS.ProcessEnv;
}

/** What everybody does on the first day: check, start, pull, pull without the registry, look, stop, read the log. */
export async function walk(t: ExecutionContext, installed: Installed): Promise<void> {
  const image = makeImage({ layers: [300_000] });
  const upstream = await startUpstream({ profile: 'hub', tls: false });
  t.teardown(() => upstream.close());
  upstream.add('library/alpine', image);
  await writeFile(join(installed.dir, 'gateway.yaml'), configuration(upstream));

  const { version } = JSON.parse(await readDocument('package.json')) as { version: string };
  t.true((await run(t, installed, '--version')).out.startsWith(`layover ${version}, Node.js `));
  const checked = await run(t, installed, 'check', '--config', 'gateway.yaml');
  t.like(checked, { code: 0, err: '' });
  t.regex(checked.out, /^the configuration is right\n {2}docker\.io: /);

  const child = begin(t, installed, 'start', '--json', '--config', 'gateway.yaml');
  const complaints = text(child.stderr);
  const greeting = await greetingOf(child, complaints);
  t.is(greeting.processes, 2);
  using client = new Client();
  const options = { client, registry: `http://${greeting.http}`, repository: 'docker.io/library/alpine' };
  t.is((await pull('dockerd', { ...options, reference: 'latest' })).digest, image.digest);
  await upstream.down();
  t.is((await pull('containerd', { ...options, reference: image.digest })).digest, image.digest);

  const shown = await run(t, installed, 'ca', 'show', '--json', '--config', 'gateway.yaml');
  t.is((JSON.parse(shown.out) as Greeting['ca']).fingerprint, greeting.ca.fingerprint);
  const ended = once(child, 'exit');
  child.kill('SIGTERM');
  t.deepEqual(await ended, [0, null], await complaints);
  t.deepEqual(troubles(await complaints), []);
  const report = await run(t, installed, 'log', 'report', '--config', 'gateway.yaml');
  t.is(report.code, 0, report.err);
  t.regex(report.out, /library\/alpine/);
}

/** Runs a command to its end. */
export async function run(t: ExecutionContext, installed: Installed, ...args: string[]): Promise<Ran> {
  const child = begin(t, installed, ...args);
  const [out, err, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'exit')]);
  return { code, out, err };
}

function begin(t: ExecutionContext, { command, dir, env = process.env }: Installed, ...args: string[]): Program {
  const [program = '', ...first] = command;
  const child = spawn(program, [...first, ...args], { cwd: dir, env, stdio: ['ignore', 'pipe', 'pipe'] });
  t.teardown(() => child.kill('SIGKILL'));
  return child;
}

async function greetingOf(child: Program, complaints: Promise<string>): Promise<Greeting> {
  const lines = createInterface({ input: child.stdout });
  const [line] = await Promise.race([once(lines, 'line'), once(child, 'exit').then(() => [])]);
  if (typeof line !== 'string') throw new Error(`it did not start: ${await complaints}`);
  return JSON.parse(line) as Greeting;
}

/** What was said beside the age of Node; a registry that is switched off is no more than a warning. */
function troubles(complaints: string): string[] {
  const lines = complaints.split('\n').filter((line) => line !== '');
  return lines.filter((line) => !/"level":"(?:info|warn)"|^layover: warning: Node\.js/.test(line));
}

/** Relative paths: an installation may see another root than we do. */
function configuration(upstream: FakeUpstream): string {
  const hosts = JSON.stringify(upstream.roles.map((role) => upstream.authority(role)));
  return `processes: 2
listen: { https: "127.0.0.1:0", http: "127.0.0.1:0", admin: "127.0.0.1:0" }
storage: { reserve: 0 }
log: { level: info }
upstreams:
  docker.io: { urls: [${upstream.url()}], tokenHosts: ${hosts}, blobHosts: ${hosts} }
`;
}
