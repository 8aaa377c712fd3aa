import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, openSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { connect, createServer } from 'node:net';
import { join } from 'node:path';
import type { Target } from '../connection.ts';
import type { Certificate, Origin } from '../origin-process.ts';
import { killBelow } from '../usage.ts';

export type ServerName = 'layover' | 'nginx files' | 'nginx cache' | 'docker-registry' | 'distribution';

/** A server under test: it answers registry requests over TLS on loopback. */
export interface Server extends AsyncDisposable {
  readonly name: ServerName;
  readonly pid: number;
  readonly target: Target;
  /** Milliseconds from its start until it took connections. */
  readonly startTime: number;
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

/** A server that can be started any number of times, each time with nothing in its store. */
export interface Kind {
  readonly name: ServerName;
  /** Whether it fetches what it does not have. */
  readonly fills: boolean;
  /** Part of the short form. */
  readonly isQuick: boolean;
  /** Why it cannot run here; may take minutes where its program is built first. */
  lacks(): Promise<string | undefined>;
  start(bed: Bed): Promise<Server>;
}

/** A program and the files that it reads from its directory, beside `tls.crt` and `tls.key`. */
export interface Recipe {
  readonly argv: readonly string[];
  readonly files: Readonly<Record<string, string>>;
  readonly env?: Readonly<Record<string, string>>;
}

/** Starts a server that is configured by files, and resolves when it takes connections. */
export async function startProgram(
  name: ServerName,
  { dir, ca, certificate }: Bed,
  recipe: (port: number) => Recipe,
): Promise<Server> {
  const port = await freePort();
  const { argv, files, env = {} } = recipe(port);
  await mkdir(dir, { recursive: true });
  for (const [file, text] of Object.entries({ ...files, 'tls.crt': certificate.cert, 'tls.key': certificate.key }))
    await writeFile(join(dir, file), text, { mode: 0o600 });
  const running = new Program(argv, join(dir, 'output.log'), env);
  const startTime = await running.listening(port);
  return { name, pid: running.pid, target: { port, ca }, startTime, [Symbol.asyncDispose]: () => running.stop() };
}

/** The path of a program of the distribution; `undefined` when it is not installed. */
export function program(name: string): string | undefined {
  return ['/usr/sbin', '/usr/bin', '/usr/local/sbin', '/usr/local/bin']
    .map((dir) => join(dir, name))
    .find((path) => existsSync(path));
}

/** A program with its output in a file, that can be waited for and ended. */
class Program {
  readonly #child: ChildProcess;
  readonly #log: string;
  readonly #started = performance.now();

  constructor(argv: readonly string[], log: string, env: Readonly<Record<string, string>>) {
    const [command = '', ...args] = argv;
    const file = openSync(log, 'a');
    this.#log = log;
    this.#child = spawn(command, args, { env: { ...process.env, ...env }, stdio: ['ignore', file, file] });
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
    const impatience = setTimeout(() => {
      killBelow(this.pid);
      this.#child.kill('SIGKILL');
    }, 5_000);
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
async function freePort(): Promise<number> {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}
