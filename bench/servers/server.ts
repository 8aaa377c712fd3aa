import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, openSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { connect, createServer } from 'node:net';
import { join } from 'node:path';
import type { Target } from '../connection.ts';
import type { Certificate, Origin } from '../origin-process.ts';

export type ServerName = 'layover' | 'nginx files' | 'nginx cache' | 'docker-registry';

/** A server under test: it answers registry requests for {@link HOST} over TLS on loopback. */
export interface Server extends AsyncDisposable {
  readonly name: ServerName;
  readonly pid: number;
  readonly target: Target;
  /** Milliseconds from its start until it took connections. */
  readonly startTime: number;
  /** Whether it fetches what it does not have. */
  readonly fills: boolean;
}

/** What a server may be started with. */
export interface Bed {
  /** A directory of its own. */
  readonly dir: string;
  readonly origin: Origin;
  /** PEM of the authority behind the origin and the servers that bring no certificate of their own. */
  readonly ca: string;
  /** File of it. */
  readonly caFile: string;
  readonly certificate: Certificate;
}

/** The path of a program of the distribution; `undefined` when it is not installed. */
export function program(name: string): string | undefined {
  return ['/usr/sbin', '/usr/bin', '/usr/local/sbin', '/usr/local/bin']
    .map((dir) => join(dir, name))
    .find((path) => existsSync(path));
}

/** A program with its output in a file, that can be waited for and ended. */
export class Program {
  readonly #child: ChildProcess;
  readonly #log: string;
  readonly #started = performance.now();

  constructor(argv: readonly string[], log: string, env: Readonly<Record<string, string>> = {}) {
    const [command = '', ...args] = argv;
    const file = openSync(log, 'a');
    this.#log = log;
    this.#child = spawn(command, args, { env: { ...process.env, ...env }, stdio: ['ignore', file, file] });
    process.once('exit', () => this.#child.kill('SIGKILL'));
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  /** Resolves with the milliseconds after which the port took a connection. */
  async listening(port: number): Promise<number> {
    for (;;) {
      if (this.#child.exitCode !== null) throw new Error(`it ended with ${this.#child.exitCode}, see ${this.#log}`);
      if (performance.now() - this.#started > 20_000) throw new Error(`port ${port} stays closed, see ${this.#log}`);
      if (await takesConnections(port)) return performance.now() - this.#started;
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
  }

  async stop(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const ended = once(this.#child, 'exit');
    this.#child.kill('SIGTERM');
    const impatience = setTimeout(() => this.#child.kill('SIGKILL'), 5_000);
    await ended;
    clearTimeout(impatience);
  }
}

function takesConnections(port: number): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const socket = connect({ host: '127.0.0.1', port });
  socket.once('connect', () => resolve(true));
  socket.once('error', () => resolve(false));
  return promise.finally(() => socket.destroy());
}

/** A port that nobody listened on a moment ago. */
export async function freePort(): Promise<number> {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}
