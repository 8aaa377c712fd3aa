import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Request, Target } from './connection.ts';
import type { Drained, Fetched, Job, Pressed, Span } from './jobs/job.ts';

interface Answer {
  readonly failed?: string;
  readonly result?: unknown;
}

/** Milliseconds in which connections open and caches and compilers warm up. */
const RUN_UP = 400;

/** The processes that put load on servers; they live through the whole run, so that they are always warm. */
export class Loaders implements Disposable {
  readonly #children: readonly ChildProcess[];
  readonly #last: Promise<unknown>[] = [];

  constructor(count: number = 2) {
    this.#children = Array.from({ length: count }, () => fork(new URL(import.meta.resolve('./load.ts'))));
  }

  /**
   * Makes the requests in turn on so many connections for `time` milliseconds after a run-up; `watch` runs at the
   * beginning and at the end of that time.
   */
  async press(
    target: Target,
    requests: readonly Request[],
    connections: number,
    time: number,
    watch?: () => void,
  ): Promise<Pressed> {
    const all = await this.#during<Pressed>(connections, time, watch, (own, span) => {
      return { kind: 'press', target, requests, connections: own, ...span };
    });
    return {
      bytes: sum(all.map(({ bytes }) => bytes)),
      requests: sum(all.map((one) => one.requests)),
      p50: Math.max(...all.map(({ p50 }) => p50)),
      p99: Math.max(...all.map(({ p99 }) => p99)),
    };
  }

  /** Makes handshakes for `time` milliseconds, so many at a time, and resolves with their number. */
  async greet(target: Target, connections: number, time: number, watch?: () => void): Promise<number> {
    const counts = await this.#during<number>(connections, time, watch, (own, span) => {
      return { kind: 'greet', target, connections: own, ...span };
    });
    return sum(counts);
  }

  /** Makes the request once on each of so many connections, all at the same moment. */
  fetch(target: Target, request: Request, connections: number = 1): Promise<Fetched[]> {
    return this.#ask(0, { kind: 'fetch', target, request, connections }) as Promise<Fetched[]>;
  }

  /** Makes every visit, a few requests one after the other, once, on so many connections. */
  drain(target: Target, visits: readonly (readonly Request[])[], connections: number): Promise<Drained> {
    return this.#ask(0, { kind: 'drain', target, visits, connections }) as Promise<Drained>;
  }

  /** Makes the request on so many connections that read nothing, for as long as `watch` takes. */
  async stall(target: Target, request: Request, connections: number, watch: () => void): Promise<void> {
    await this.#ask(0, { kind: 'stall', target, request, connections });
    watch();
    await this.#ask(0, { kind: 'release' });
  }

  [Symbol.dispose](): void {
    for (const child of this.#children) if (child.connected) child.disconnect();
  }

  async #during<T>(
    connections: number,
    time: number,
    watch: () => void = () => undefined,
    job: (connections: number, span: Span) => Job,
  ): Promise<T[]> {
    const startAt = Date.now() + RUN_UP;
    const endAt = startAt + time;
    const shares = share(connections, this.#children.length);
    const answers = Promise.all(shares.map((own, at) => this.#ask(at, job(own, { startAt, endAt }))));
    await Promise.race([sleep(startAt - Date.now()), answers]);
    watch();
    await Promise.race([sleep(endAt - Date.now()), answers]);
    watch();
    return (await answers) as T[];
  }

  /** After what the process still does, were it only because another one has failed. */
  #ask(at: number, job: Job): Promise<unknown> {
    const before = this.#last[at] ?? Promise.resolve();
    const answer = before.then(
      () => ask(this.#children[at], job),
      () => ask(this.#children[at], job),
    );
    this.#last[at] = answer;
    return answer;
  }
}

async function ask(child: ChildProcess | undefined, job: Job): Promise<unknown> {
  if (child === undefined) throw new Error('there is no such load process');
  const over = new AbortController();
  const answered = once(child, 'message', { signal: over.signal });
  const ended = once(child, 'exit', { signal: over.signal }).then(() => [{ failed: 'the load process has ended' }]);
  for (const waiting of [answered, ended]) waiting.catch(() => undefined);
  child.send(job);
  const [answer] = (await Promise.race([answered, ended]).finally(() => over.abort())) as [Answer];
  if (answer.failed !== undefined) throw new Error(answer.failed);
  return answer.result;
}

/** One connection stays with one process; more are divided. */
function share(connections: number, processes: number): number[] {
  if (connections < processes) return [connections];
  return Array.from({ length: processes }, (_, at) => Math.floor((connections + at) / processes));
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
