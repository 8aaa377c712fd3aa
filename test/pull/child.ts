import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { stringify } from 'yaml';
import type { FakeUpstream } from '../support/upstream/upstream.ts';

const MAIN = join(import.meta.dirname, '../../src/cli/main.ts');

/** A gateway in a process of its own, for what happens when that ends without a word. */
export class ChildGateway implements AsyncDisposable {
  readonly dir: string;
  #child: ChildProcess | undefined;
  readonly #env: NodeJS.ProcessEnv;
  /** Origin of the plain listener. */
  own = '';
  /** `host:port` of the TLS listener. */
  https = '';

  private constructor(dir: string, env: NodeJS.ProcessEnv) {
    this.dir = dir;
    this.#env = env;
  }

  /** In front of one upstream over plain HTTP, which it knows as docker.io; `env` is added to the environment. */
  static async start(upstream: FakeUpstream, env: NodeJS.ProcessEnv = {}): Promise<ChildGateway> {
    const dir = await mkdtemp(join(tmpdir(), 'layover-child-'));
    const roles = upstream.roles.map((role) => upstream.authority(role));
    const config = {
      listen: { https: '127.0.0.1:0', http: '127.0.0.1:0', admin: '127.0.0.1:0' },
      certs: { dir: join(dir, 'certs') },
      storage: { root: join(dir, 'data'), reserve: 0 },
      log: { level: 'error', access: { file: join(dir, 'access.log') } },
      upstreams: { 'docker.io': { urls: [upstream.url()], tokenHosts: roles, blobHosts: roles } },
    };
    await writeFile(join(dir, 'gateway.yaml'), stringify(config));
    const gateway = new ChildGateway(dir, env);
    await gateway.up();
    return gateway;
  }

  async up(): Promise<void> {
    const flags = ['--disable-warning=ExperimentalWarning', MAIN, 'start', '--json'];
    const child = spawn(process.execPath, [...flags, '--config', join(this.dir, 'gateway.yaml')], {
      stdio: ['ignore', 'pipe', 'inherit'],
      env: { ...process.env, ...this.#env },
    });
    this.#child = child;
    for await (const line of createInterface({ input: child.stdout })) {
      if (!line.startsWith('{')) continue;
      const greeting = JSON.parse(line) as { readonly http: string; readonly https: string };
      this.own = `http://${greeting.http}`;
      this.https = greeting.https;
      return;
    }
    throw new Error('the gateway did not start');
  }

  /** Ends it as a power cut or the kernel's out-of-memory killer would. */
  async kill(): Promise<void> {
    const child = this.#child;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    child.kill('SIGKILL');
    await once(child, 'exit');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
    await rm(this.dir, { recursive: true, force: true, maxRetries: 5 });
  }
}
