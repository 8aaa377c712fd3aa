import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { openSync } from 'node:fs';
import { buffer, text } from 'node:stream/consumers';

export interface RunOptions {
  readonly env?: Readonly<Record<string, string>>;
  readonly input?: string;
  /** Milliseconds. */
  readonly timeout?: number;
}

/** Variables of the caller that would change what a client does (proxies, homes, sockets) are not passed on. */
const environment = { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', HOME: '/root', LANG: 'C.UTF-8' };

/** Runs a program to its end and resolves with its standard output; throws with the end of its standard error. */
export async function run(argv: readonly string[], options: RunOptions = {}): Promise<Buffer> {
  const [command = '', ...args] = argv;
  const child = spawn(command, args, {
    env: { ...environment, ...options.env },
    timeout: options.timeout ?? 60_000,
    killSignal: 'SIGKILL',
  });
  child.stdin.on('error', () => {}); // a program may end without reading its input
  child.stdin.end(options.input);
  const [output, complaint, [code, signal]] = await Promise.all([
    buffer(child.stdout),
    text(child.stderr),
    once(child, 'close') as Promise<[number | null, string | null]>,
  ]);
  if (code !== 0) throw new Error(`${argv.join(' ')}: ${signal ?? `exit ${code}`}\n${complaint.trim().slice(-1500)}`);
  return output;
}

/** A program that runs until it is disposed of. */
export class Daemon implements AsyncDisposable {
  readonly #child: ChildProcess;
  readonly #name: string;
  readonly #ended: Promise<unknown>;

  /** Standard output and error are appended to `log`. */
  constructor(argv: readonly string[], log: string, env: Readonly<Record<string, string>> = {}) {
    const [command = '', ...args] = argv;
    const file = openSync(log, 'a');
    this.#name = `${argv.join(' ')} (${log})`;
    this.#child = spawn(command, args, { env: { ...environment, ...env }, stdio: ['ignore', file, file] });
    this.#ended = Promise.race([once(this.#child, 'exit'), once(this.#child, 'error')]);
    this.#ended.catch(() => {});
  }

  /** Waits until `probe` no longer throws, for at most 20 seconds, or fails as soon as the program has ended. */
  async ready(probe: () => Promise<unknown>): Promise<void> {
    const deadline = performance.now() + 20_000;
    for (;;) {
      if (this.#child.exitCode !== null) throw new Error(`${this.#name} ended with ${this.#child.exitCode}`);
      try {
        await probe();
        return;
      } catch (cause) {
        if (performance.now() > deadline) throw new Error(`${this.#name} is not ready`, { cause });
      }
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }

  async kill(): Promise<void> {
    this.#child.kill('SIGKILL');
    await this.#ended;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    this.#child.kill('SIGTERM');
    const guard = setTimeout(() => this.#child.kill('SIGKILL'), 8_000);
    await this.#ended;
    clearTimeout(guard);
  }
}
