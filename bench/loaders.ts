import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Target } from './connection.ts';

/** What one load process is to do. Instants are milliseconds since the epoch; counting happens between the two. */
export type Job =
  | {
      readonly kind: 'press';
      readonly target: Target;
      readonly paths: readonly string[];
      readonly connections: number;
      readonly startAt: number;
      readonly endAt: number;
    }
  | { readonly kind: 'fetch'; readonly target: Target; readonly path: string; readonly connections: number };

export interface Pressed {
  /** Body bytes and complete answers within the window. */
  readonly bytes: number;
  readonly requests: number;
  /** Milliseconds. */
  readonly p99: number;
}

/** Milliseconds since the request was sent on a connection that was open. */
export interface Fetched {
  readonly firstByte: number;
  readonly total: number;
}

/** Milliseconds in which connections open and caches and compilers warm up. */
const RUN_UP = 400;

/** The processes that put load on servers; they live through the whole run, so that they are always warm. */
export class Loaders implements Disposable {
  readonly #children: readonly ChildProcess[];

  constructor(count: number = 2) {
    this.#children = Array.from({ length: count }, () => fork(new URL(import.meta.resolve('./load.ts'))));
  }

  /**
   * Asks for `paths` in turn on so many connections for `time` milliseconds after a run-up; `watch` runs at the
   * beginning and at the end of that time.
   */
  async press(
    target: Target,
    paths: readonly string[],
    connections: number,
    time: number,
    watch: () => void = () => undefined,
  ): Promise<Pressed> {
    const startAt = Date.now() + RUN_UP;
    const endAt = startAt + time;
    const shares = share(connections, this.#children.length);
    const answers = shares.map((own, at) =>
      this.#ask(at, { kind: 'press', target, paths, connections: own, startAt, endAt }),
    );
    await sleep(startAt - Date.now());
    watch();
    await sleep(endAt - Date.now());
    watch();
    const pressed = (await Promise.all(answers)) as Pressed[];
    return {
      bytes: sum(pressed.map(({ bytes }) => bytes)),
      requests: sum(pressed.map(({ requests }) => requests)),
      p99: Math.max(...pressed.map(({ p99 }) => p99)),
    };
  }

  /** Asks for `path` once on each of so many connections, all at the same moment. */
  async fetch(target: Target, path: string, connections: number = 1): Promise<Fetched[]> {
    return (await this.#ask(0, { kind: 'fetch', target, path, connections })) as Fetched[];
  }

  [Symbol.dispose](): void {
    for (const child of this.#children) if (child.connected) child.disconnect();
  }

  async #ask(at: number, job: Job): Promise<unknown> {
    const child = this.#children[at];
    if (child === undefined) throw new Error('there is no such load process');
    const answered = once(child, 'message');
    child.send(job);
    const [answer] = await answered;
    if (typeof answer === 'object' && answer !== null && 'failed' in answer) throw new Error(String(answer.failed));
    return answer;
  }
}

/** One connection stays with one process; more are divided. */
function share(connections: number, processes: number): number[] {
  if (connections < processes) return [connections];
  return Array.from({ length: processes }, (_, at) => Math.floor((connections + at) / processes));
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
