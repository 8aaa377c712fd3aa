import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import type { Greeting, Order, Report } from './messages.ts';

export interface WorkerOptions {
  /** Absolute path of the program. */
  readonly program: string;
  readonly args: readonly string[];
  /** The configuration file. */
  readonly text: string;
  /** Bound sockets that it listens on. */
  readonly descriptors: readonly number[];
}

/** Milliseconds that one may take to be ready; it may have to make the root CA. */
const START = 120_000;

/** One of the processes that serve, as its supervisor sees it. */
export class Worker {
  readonly #child: ChildProcess;
  readonly started = performance.now();
  /** Settles when it accepts connections; rejects when it cannot start. */
  readonly ready: Promise<Greeting>;
  /** How it ended: by which signal or exit code. */
  readonly ended: Promise<string>;
  #isLeaving = false;

  constructor({ program, args, text, descriptors }: WorkerOptions) {
    const stdio = ['ignore', 'inherit', 'inherit', 'ipc', ...descriptors] as const;
    const child = spawn(process.execPath, [...process.execArgv, program, ...args], { stdio: [...stdio] });
    this.#child = child;
    child.on('error', () => undefined);
    this.ended = new Promise((resolve) => {
      child.once('exit', (code, signal) => resolve(signal ?? `exit code ${code}`));
      child.once('error', (error) => resolve(error.message));
    });
    this.ready = this.#begin(text, descriptors.length);
    this.ready.catch(() => undefined);
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  /** Whether it was told to go, so that its end is no surprise. */
  get isLeaving(): boolean {
    return this.#isLeaving;
  }

  /** From here on it goes on serving when this process is no more. */
  adopt(): void {
    this.#send({ kind: 'adopted' });
  }

  /** Throws when it cannot use the configuration. */
  async reload(text: string): Promise<Extract<Report, { kind: 'reloaded' }>> {
    const answer = this.#answer(START);
    this.#send({ kind: 'reload', text });
    const report = await answer;
    if (report.kind === 'reloaded') return report;
    throw new Error(report.kind === 'failed' ? report.message : 'a process answered what it was not asked');
  }

  /** Lets it finish what runs; another one has taken its place. */
  drain(): void {
    this.#isLeaving = true;
    this.#send({ kind: 'drain' });
  }

  /** By a signal, in whatever state it is. */
  end(signal: 'SIGTERM' | 'SIGKILL'): void {
    this.#isLeaving = true;
    this.#child.kill(signal);
  }

  reopenLogs(): void {
    this.#child.kill('SIGUSR2');
  }

  async #begin(text: string, descriptors: number): Promise<Greeting> {
    const answer = this.#answer(START);
    this.#send({ kind: 'begin', text, descriptors });
    const report = await answer;
    if (report.kind === 'ready') return report.greeting;
    throw new Error(report.kind === 'failed' ? report.message : 'a process answered what it was not asked');
  }

  #send(order: Order): void {
    // Who is gone is noticed by its end.
    if (this.#child.connected) this.#child.send(order, () => undefined);
  }

  async #answer(milliseconds: number): Promise<Report> {
    const over = new AbortController();
    const { signal } = over;
    const late = setTimeout(() => over.abort(), milliseconds);
    try {
      const said = once(this.#child, 'message', { signal }).then(([report]) => report as Report);
      const ended = this.ended.then((how): Report => ({ kind: 'failed', message: `it ended (${how})` }));
      return await Promise.race([said, ended]);
    } catch (cause) {
      throw new Error(`it did not answer within ${milliseconds / 1000} s`, { cause });
    } finally {
      clearTimeout(late);
      over.abort();
    }
  }
}
