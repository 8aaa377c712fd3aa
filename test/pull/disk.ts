import { type ChildProcess, execFile, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';
import { stringify } from 'yaml';
import type { FakeUpstream } from '../support/upstream/upstream.ts';

const MAIN = join(import.meta.dirname, '../../src/cli/main.ts');
const execute = promisify(execFile);

/** Why disks of our own cannot be had here; `undefined` when they can. */
export function noDisks(program?: string): string | undefined {
  const isolated = spawnSync('unshare', ['-m', 'mount', '-t', 'tmpfs', 'tmpfs', '/mnt'], { encoding: 'utf8' });
  if (isolated.status !== 0) return `mounts of our own need root and unshare: ${isolated.stderr ?? isolated.error}`;
  if (program === undefined || spawnSync('sh', ['-c', `command -v ${program}`]).status === 0) return undefined;
  return `${program} is not installed`;
}

export interface DiskOptions {
  /** Of the tmpfs that is the data directory, such as `size=24m`; or `xfs` for a file of that kind. */
  readonly mount: string;
  /** A program that runs the gateway, given the data directory, and runs in its process. */
  readonly under?: (data: string) => readonly string[];
  /** Further variables of its environment. */
  readonly env?: NodeJS.ProcessEnv;
}

/** A gateway in a process of its own, whose data directory is a file system of its own. */
export class DiskGateway implements AsyncDisposable {
  readonly #dir: string;
  #child: ChildProcess | undefined;
  /** Origins of the plain and of the admin listener. */
  own = '';
  admin = '';
  /** What it said to its operator, in JSON. */
  readonly said: { readonly level: string; readonly message: string }[] = [];

  private constructor(dir: string) {
    this.#dir = dir;
  }

  /** In front of one upstream over plain HTTP, which it knows as docker.io. */
  static async start(upstream: FakeUpstream, options: DiskOptions): Promise<DiskGateway> {
    const dir = await mkdtemp(join(tmpdir(), 'layover-disk-'));
    const gateway = new DiskGateway(dir);
    await mkdir(join(dir, 'data'));
    const roles = upstream.roles.map((role) => upstream.authority(role));
    const config = {
      listen: { https: '127.0.0.1:0', http: '127.0.0.1:0', admin: '127.0.0.1:0' },
      certs: { dir: join(dir, 'certs') },
      storage: { root: join(dir, 'data'), reserve: 0 },
      log: { level: 'info', access: { file: join(dir, 'access.log') } },
      upstreams: { 'docker.io': { urls: [upstream.url()], tokenHosts: roles, blobHosts: roles } },
    };
    await writeFile(join(dir, 'gateway.yaml'), stringify(config));
    await gateway.#up(options);
    return gateway;
  }

  /** Where the test finds what the gateway knows as `path` of its data directory. */
  path(...path: readonly string[]): string {
    return join(`/proc/${this.#child?.pid}/root`, this.#dir, 'data', ...path);
  }

  /** Mounts the data directory anew with other options. */
  async remount(options: string): Promise<void> {
    await this.#inside('mount', '-o', `remount,${options}`, join(this.#dir, 'data'));
  }

  /** Makes the data directory read-only for whatever is opened from now on, until the returned function is called. */
  async lock(): Promise<() => Promise<void>> {
    const data = join(this.#dir, 'data');
    await this.#inside('mount', '--bind', data, data);
    await this.#inside('mount', '-o', 'remount,ro,bind', data);
    return () => this.#inside('umount', '-l', data);
  }

  async #inside(...command: readonly string[]): Promise<void> {
    await execute('nsenter', ['-t', String(this.#child?.pid), '-m', ...command]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child?.exitCode === null && this.#child.signalCode === null) {
      const ended = once(this.#child, 'exit');
      this.#child.kill('SIGKILL');
      await ended;
    }
    await rm(this.#dir, { recursive: true, force: true, maxRetries: 5 });
  }

  async #up({ mount, under, env }: DiskOptions): Promise<void> {
    const data = join(this.#dir, 'data');
    const program = [process.execPath, '--disable-warning=ExperimentalWarning', MAIN, 'start', '--json'];
    const command = [...(under?.(data) ?? []), ...program, '--config', join(this.#dir, 'gateway.yaml')];
    const image = `truncate -s 400M ${data}.img && mkfs.xfs -q ${data}.img && mount -o loop ${data}.img ${data}`;
    const script = `${mount === 'xfs' ? image : `mount -t tmpfs -o ${mount} tmpfs ${data}`} && exec "$@"`;
    const child = spawn('unshare', ['-m', 'sh', '-c', script, 'sh', ...command], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, UV_THREADPOOL_SIZE: '4', ...env },
    });
    this.#child = child;
    createInterface({ input: child.stderr }).on('line', (line) => {
      if (line.startsWith('{')) this.said.push(JSON.parse(line) as DiskGateway['said'][number]);
    });
    for await (const line of createInterface({ input: child.stdout })) {
      const greeting = JSON.parse(line) as { readonly http: string; readonly admin: string };
      this.own = `http://${greeting.http}`;
      this.admin = `http://${greeting.admin}`;
      return;
    }
    throw new Error('the gateway did not start');
  }
}
