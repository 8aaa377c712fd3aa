import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { stringify } from 'yaml';
import { Client } from '../support/client.ts';
import type { Report } from './case.ts';

/** Milliseconds that a start may take on a busy machine, and an end. */
const START = 60_000;
const END = 60_000;

export interface GatewayOptions {
  /** For configuration, certificates and logs. */
  readonly dir: string;
  /** The data directory; below `dir` unless given. */
  readonly data?: string;
  readonly upstreams: Readonly<Record<string, object>>;
  /** Of the configuration, beside `root`. */
  readonly storage?: Readonly<Record<string, unknown>>;
  /** Merged over the configuration, key by key at the top. */
  readonly config?: Readonly<Record<string, unknown>>;
  /** A command that runs the gateway's, which keeps its process: `strace -D …`. */
  readonly wrapper?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
}

interface Greeting {
  readonly https: string;
  readonly http: string;
  readonly admin: string;
}

/** Open files and memory (bytes) of a process. */
export interface Usage {
  readonly files: number;
  readonly memory: number;
}

/** A gateway as a user starts it, which must never end by itself. */
export class Gateway implements AsyncDisposable {
  readonly data: string;
  /** The file that it is configured by. */
  readonly file: string;
  readonly #dir: string;
  readonly #report: Report;
  readonly #options: GatewayOptions;
  #child: ChildProcess | undefined;
  #greeting: Greeting | undefined;
  #isAsked = false;
  /** All that it said to its operator. */
  log = '';

  private constructor(report: Report, options: GatewayOptions) {
    this.#report = report;
    this.#options = options;
    this.#dir = options.dir;
    this.file = join(options.dir, 'gateway.yaml');
    this.data = options.data ?? join(options.dir, 'data');
  }

  static async start(report: Report, options: GatewayOptions): Promise<Gateway> {
    await mkdir(options.dir, { recursive: true });
    const gateway = new Gateway(report, options);
    await writeFile(join(options.dir, 'gateway.yaml'), stringify(gateway.#configuration()));
    await gateway.up();
    return gateway;
  }

  get pid(): number {
    return this.#child?.pid ?? 0;
  }

  get isRunning(): boolean {
    return this.#child !== undefined && this.#child.exitCode === null && this.#child.signalCode === null;
  }

  get ports(): { readonly https: number; readonly http: number; readonly admin: number } {
    const { https, http, admin } = this.#greeting ?? { https: ':0', http: ':0', admin: ':0' };
    const [one = 0, two = 0, three = 0] = [https, http, admin].map((address) => Number(address.split(':').at(-1)));
    return { https: one, http: two, admin: three };
  }

  /** Origin of the plain listener. */
  get own(): string {
    return `http://127.0.0.1:${this.ports.http}`;
  }

  /** Starts it on what it left; ports change. */
  async up(): Promise<void> {
    const args = [this.#report.program, 'start', '--json', '--config', join(this.#dir, 'gateway.yaml')];
    const [command = '', ...rest] = [...(this.#options.wrapper ?? []), process.execPath, ...args];
    const child = spawn(command, rest, {
      cwd: this.#dir,
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, ...this.#options.env },
    });
    this.#child = child;
    this.#isAsked = false;
    const said = this.log.length;
    child.stderr.on('data', (chunk: Buffer) => {
      this.log += chunk;
    });
    child.once('exit', (code, signal) => {
      if (!this.#isAsked && this.#greeting !== undefined) {
        this.#report.violation(`the gateway ended by itself (${signal ?? code}): ${this.log.slice(-1500)}`);
      }
    });
    const impatience = setTimeout(() => child.kill('SIGKILL'), START);
    this.#greeting = undefined;
    const [line] = await Promise.race([
      once(createInterface({ input: child.stdout }), 'line'),
      once(child, 'exit').then(() => []),
    ]);
    clearTimeout(impatience);
    if (typeof line !== 'string') throw new Error(`the gateway did not start: ${this.log.slice(said).trim()}`);
    this.#greeting = JSON.parse(line) as Greeting;
  }

  /** Ends it; resolves when the process is gone. */
  async down(signal: 'SIGTERM' | 'SIGKILL' = 'SIGTERM'): Promise<void> {
    const child = this.#child;
    this.#isAsked = true;
    if (child === undefined || !this.isRunning) return;
    const ended = once(child, 'exit');
    child.kill(signal);
    const impatience = setTimeout(() => {
      this.#report.violation(`the gateway did not end within ${END} ms of ${signal}`);
      child.kill('SIGKILL');
    }, END);
    await ended;
    clearTimeout(impatience);
  }

  usage(): Usage {
    const status = readFileSync(`/proc/${this.pid}/status`, 'utf8');
    const kilobytes = Number(/^VmRSS:\s+(\d+)/m.exec(status)?.[1]);
    return { files: readdirSync(`/proc/${this.pid}/fd`).length, memory: kilobytes * 1024 };
  }

  /** Its counters as Prometheus reads them. */
  async metrics(): Promise<string> {
    const answer = await fetch(`http://127.0.0.1:${this.ports.admin}/metrics`);
    return answer.text();
  }

  /** The sum of a counter over all its labels that match. */
  async counter(name: string, labels = ''): Promise<number> {
    const lines = (await this.metrics()).split('\n').filter((line) => line.startsWith(name) && line.includes(labels));
    return lines.reduce((sum, line) => sum + Number(line.split(' ').at(-1)), 0);
  }

  rootCertificate(): Promise<string> {
    return readFile(join(this.#dir, 'certs', 'ca.crt'), 'utf8');
  }

  /** A client that trusts its root and finds these host names here. */
  async client(...hosts: readonly string[]): Promise<Client> {
    const there = { address: '127.0.0.1', port: this.ports.https };
    const connectTo = Object.fromEntries(hosts.map((host) => [`${host}:443`, there]));
    return new Client({ ca: await this.rootCertificate(), connectTo, keepAlive: true });
  }

  accessLog(): Promise<string> {
    return readFile(join(this.#dir, 'access.log'), 'utf8').catch(() => '');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.down('SIGKILL');
  }

  #configuration(): object {
    return {
      listen: { https: '127.0.0.1:0', http: '127.0.0.1:0', admin: '127.0.0.1:0' },
      names: ['gateway.lan', '127.0.0.1'],
      certs: { dir: join(this.#dir, 'certs') },
      storage: { root: this.data, ...this.#options.storage },
      log: { level: 'warn', access: { file: join(this.#dir, 'access.log') } },
      ...this.#options.config,
      upstreams: this.#options.upstreams,
    };
  }
}
