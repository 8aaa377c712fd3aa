import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { text } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ExecutionContext } from 'ava';
import { stringify } from 'yaml';
import { type FakeUpstream, startUpstream } from '../support/upstream/upstream.ts';

const PROGRAM = join(import.meta.dirname, '..', '..', 'bin', 'layover.js');

export interface Greeting {
  readonly https: string;
  readonly http: string;
  readonly admin: string;
  readonly processes?: number;
}

/** Several processes as a user starts them, in front of an imitated docker.io; everything lies below one directory. */
export class Fleet {
  readonly dir: string;
  readonly upstream: FakeUpstream;
  readonly #config: Readonly<Record<string, unknown>>;
  supervisor: ChildProcess | undefined;
  greeting: Greeting = { https: '', http: '', admin: '' };
  /** What was said to the operator. */
  log = '';

  private constructor(dir: string, upstream: FakeUpstream, config: Readonly<Record<string, unknown>>) {
    this.dir = dir;
    this.upstream = upstream;
    this.#config = config;
  }

  /** `config` is laid over the configuration, key by key at the top. */
  static async start(
    t: ExecutionContext,
    processes: number,
    { config = {}, below = '.' }: { config?: Readonly<Record<string, unknown>>; below?: string } = {},
  ): Promise<Fleet> {
    t.timeout(400_000);
    const top = await mkdtemp(join(tmpdir(), 'layover-fleet-'));
    const dir = join(top, below);
    await mkdir(dir, { recursive: true });
    const upstream = await startUpstream({ profile: 'hub', tls: false });
    const fleet = new Fleet(dir, upstream, { processes, ...config });
    t.teardown(async () => {
      await fleet.kill();
      await upstream.close();
      await rm(top, { recursive: true, force: true, maxRetries: 5 });
    });
    await fleet.configure({});
    await fleet.up();
    return fleet;
  }

  get config(): string {
    return join(this.dir, 'gateway.yaml');
  }

  /** Origin of the plain listener. */
  get own(): string {
    return `http://${this.greeting.http}`;
  }

  /** Writes the configuration, with some of it laid over what it was at the start. */
  async configure(over: Readonly<Record<string, unknown>>): Promise<void> {
    const roles = this.upstream.roles.map((role) => this.upstream.authority(role));
    const config = {
      listen: { https: '127.0.0.1:0', http: '127.0.0.1:0', admin: '127.0.0.1:0' },
      storage: { root: join(this.dir, 'data'), reserve: 0 },
      certs: { dir: join(this.dir, 'certs') },
      log: { level: 'info', access: { file: join(this.dir, 'access.log') } },
      upstreams: { 'docker.io': { urls: [this.upstream.url()], tokenHosts: roles, blobHosts: roles } },
      ...this.#config,
      ...over,
    };
    await writeFile(this.config, stringify(config));
  }

  /** Throws with what was complained of when they do not start. */
  async up(): Promise<void> {
    const child = this.#spawn('start');
    this.supervisor = child;
    const said = this.log.length;
    const [line] = await Promise.race([
      once(createInterface({ input: child.stdout }), 'line'),
      once(child, 'close').then(() => []),
    ]);
    if (typeof line !== 'string') throw new Error(this.log.slice(said));
    this.greeting = JSON.parse(line) as Greeting;
  }

  /** Runs another command to its end. */
  async run(...command: string[]): Promise<{ readonly code: number | null; readonly said: string }> {
    const child = this.#spawn(...command);
    const [said, [code]] = await Promise.all([text(child.stdout), once(child, 'close')]);
    return { code, said };
  }

  /** The processes that serve, whoever watches over them. */
  async workers(): Promise<readonly number[]> {
    return this.#processes('worker.ts');
  }

  /** Resolves when so many serve; who is slow to say so is left out for a moment. */
  async ready(processes: number): Promise<void> {
    await until(async () => (await this.ask('/readyz')) === `ok\nprocesses: ${processes}\n`);
  }

  /** What `/readyz` or `/metrics` answers. */
  async ask(path: string): Promise<string> {
    return (await fetch(`http://${this.greeting.admin}${path}`)).text();
  }

  /** Kills whoever watches over the others. */
  async loseSupervisor(): Promise<void> {
    const child = this.supervisor;
    if (child === undefined) return;
    const ended = once(child, 'exit');
    child.kill('SIGKILL');
    await ended;
  }

  /** Has the configuration read again. */
  hangUp(): void {
    this.supervisor?.kill('SIGHUP');
  }

  /** Kills all that runs. */
  async kill(): Promise<void> {
    // Whoever watches goes first, so that nobody is replaced.
    if (this.supervisor?.exitCode === null && this.supervisor.signalCode === null) await this.loseSupervisor();
    await until(async () => {
      const left = await this.#processes('');
      for (const pid of left) end(pid);
      return left.length === 0;
    });
  }

  async #processes(program: string): Promise<readonly number[]> {
    const pids = (await readdir('/proc')).map(Number).filter((pid) => pid > 0 && pid !== process.pid);
    const found = pids.map(async (pid) => {
      const line = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '');
      return line.includes(program) && line.split('\0').includes(this.config) ? [pid] : [];
    });
    return (await Promise.all(found)).flat();
  }

  #spawn(...command: string[]) {
    const args = [PROGRAM, ...command, '--json', '--config', this.config];
    const child = spawn(process.execPath, args, { cwd: dirname(this.config), stdio: ['ignore', 'pipe', 'pipe'] });
    child.stderr.on('data', (chunk: Buffer) => {
      this.log += chunk;
    });
    return child;
  }
}

/** Resolves when it holds; throws when it does not within two minutes. */
export async function until(holds: () => Promise<boolean> | boolean): Promise<void> {
  const end = performance.now() + 120_000;
  while (!(await holds())) {
    if (performance.now() > end) throw new Error('it never happened');
    await sleep(25);
  }
}

function end(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It ended by itself.
  }
}
