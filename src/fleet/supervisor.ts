import type { Server } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { publish } from '../events.ts';
import { type Restarted, replaceAll, takeControl, whoServes } from './control.ts';
import { nameOf } from './crew.ts';
import type { Greeting } from './messages.ts';
import type { Plan } from './plan.ts';
import { Sockets } from './sockets.ts';
import { Meeting } from './talk.ts';
import { Worker } from './worker.ts';

/** Who lives so long did not die of its start; milliseconds. */
const STURDY = 10_000;
/** Milliseconds until a process is replaced that died of its start; doubled each time. */
const PAUSE = { first: 250, most: 30_000 };
/** Milliseconds after a SIGTERM; processes need 30 s at most for what runs. */
const END = 45_000;

export interface SupervisorOptions {
  /** The program of a worker, as an absolute path, and its arguments. */
  readonly program: string;
  readonly args: readonly string[];
  /** Reads the configuration again. Throws with its mistakes. */
  readonly plan: () => Promise<Plan>;
}

/** What workers are started with: a plan, and the file that was read since without a restart. */
interface Course {
  readonly plan: Plan;
  readonly reloaded?: string;
}

/** Paths of the keys that took effect, and of those that wait for a restart. */
export interface Reloaded {
  readonly applied: readonly string[];
  readonly pending: readonly string[];
}

/** Watches over workers, and carries no byte of theirs: they serve on when it is gone. */
export class Supervisor {
  readonly #options: SupervisorOptions;
  readonly #meeting: Meeting;
  readonly #sockets = new Sockets();
  /** Who serves, by place. */
  readonly #serving: (Worker | undefined)[] = [];
  /** Everybody who runs. */
  readonly #running = new Set<Worker>();
  readonly #abort = new AbortController();
  /** Consecutive pauses before a place is filled anew, in milliseconds. */
  readonly #pauses: number[] = [];
  #course: Course;
  #isUp = false;
  #descriptors: readonly number[] = [];
  #control: Server | undefined;
  #turn: Promise<unknown> = Promise.resolve();

  private constructor(plan: Plan, meeting: Meeting, options: SupervisorOptions) {
    this.#course = { plan };
    this.#meeting = meeting;
    this.#options = options;
  }

  /** Resolves when all workers serve. Throws, with none left, when one cannot, or when another supervisor is there. */
  static async start(plan: Plan, options: SupervisorOptions): Promise<{ supervisor: Supervisor; greeting: Greeting }> {
    const supervisor = new Supervisor(plan, await Meeting.open(plan.root), options);
    try {
      return { supervisor, greeting: await supervisor.#begin() };
    } catch (error) {
      await supervisor.stop('SIGKILL');
      throw error;
    }
  }

  /** Replaces one worker after the other by one that has read the configuration anew, each before its predecessor goes. */
  restart(): Promise<Restarted> {
    return this.#inTurn(async () => {
      const started = performance.now();
      const before = { course: this.#course, descriptors: this.#descriptors };
      const plan = await this.#options.plan();
      if (plan.root !== before.course.plan.root) throw new Error('storage.root is another one: stop and start it');
      this.#descriptors = await this.#sockets.open(plan.listen, false);
      this.#course = { plan };
      let place = 0;
      try {
        for (; place < plan.processes; place += 1) await this.#fill(place);
      } catch (error) {
        ({ course: this.#course, descriptors: this.#descriptors } = before);
        const message = error instanceof Error ? error.message : String(error);
        throw new Error(`${place} of ${plan.processes} processes were replaced, then: ${message}`, { cause: error });
      }
      for (const worker of this.#serving.splice(plan.processes)) worker?.drain();
      this.#sockets.keep(plan.listen);
      return { processes: plan.processes, milliseconds: Math.round(performance.now() - started) };
    });
  }

  /** Lets every worker take in what can change while it runs; tells what did, and what waits for a restart. */
  reload(): Promise<Reloaded> {
    return this.#inTurn(async () => {
      const { text } = await this.#options.plan();
      const workers = this.#serving.filter((worker) => worker !== undefined);
      let report: Reloaded = { applied: [], pending: [] };
      // One after the other: what the first cannot use no other is given.
      for (const worker of workers) report = await worker.reload(text);
      this.#course = { ...this.#course, reloaded: text };
      return report;
    });
  }

  reopenLogs(): void {
    for (const worker of this.#running) worker.reopenLogs();
  }

  /** Ends all workers; resolves when they are gone. */
  async stop(signal: 'SIGTERM' | 'SIGKILL'): Promise<void> {
    this.#abort.abort();
    for (const worker of this.#running) worker.end(signal);
    const impatience = setTimeout(() => {
      for (const worker of this.#running) worker.end('SIGKILL');
    }, END);
    while (this.#running.size > 0) await Promise.all([...this.#running].map(({ ended }) => ended));
    clearTimeout(impatience);
    this.#sockets[Symbol.dispose]();
    this.#control?.close();
  }

  async #begin(): Promise<Greeting> {
    const { plan } = this.#course;
    this.#control = await takeControl(this.#meeting, plan.root, () => this.restart());
    const orphans = await whoServes(this.#meeting);
    this.#descriptors = await this.#sockets.open(plan.listen, orphans.length > 0);
    const places = Array.from({ length: plan.processes }, (_, place) => place);
    const [first] = await Promise.all(places.map((place) => this.#fill(place)));
    if (first === undefined) throw new Error('no process was started');
    // Until here they end with this process, however it ends.
    this.#isUp = true;
    for (const worker of this.#serving) worker?.adopt();
    if (orphans.length > 0) {
      const message = `${orphans.length} processes had lost their supervisor: these here take their place`;
      publish('notice', { level: 'warn', message });
    }
    await replaceAll(this.#meeting, orphans);
    return first;
  }

  /** Puts a new worker in a place; who had it drains. */
  async #fill(place: number): Promise<Greeting> {
    this.#abort.signal.throwIfAborted();
    const { program, args } = this.#options;
    const { plan, reloaded } = this.#course;
    const worker = new Worker({ program, args, text: plan.text, descriptors: this.#descriptors });
    this.#running.add(worker);
    void worker.ended.then((how) => this.#lost(worker, how));
    try {
      const greeting = await worker.ready;
      // What takes effect without a restart has to here too, and the rest must not.
      if (reloaded !== undefined) await worker.reload(reloaded);
      this.#abort.signal.throwIfAborted();
      if (this.#isUp) worker.adopt();
      this.#serving[place]?.drain();
      this.#serving[place] = worker;
      return greeting;
    } catch (error) {
      worker.end('SIGKILL');
      throw error;
    }
  }

  #lost(worker: Worker, how: string): void {
    this.#running.delete(worker);
    this.#meeting.forget(nameOf(worker.pid));
    const place = this.#serving.indexOf(worker);
    if (place < 0 || this.#abort.signal.aborted) return;
    this.#serving[place] = undefined;
    const pause = this.#pause(place, performance.now() - worker.started > STURDY);
    publish('notice', {
      level: 'error',
      message: `process ${worker.pid} ended (${how}): another one takes its place in ${pause} ms`,
    });
    void this.#replace(place, pause);
  }

  async #replace(place: number, pause: number): Promise<void> {
    const { signal } = this.#abort;
    await sleep(pause, undefined, { signal }).catch(() => undefined);
    try {
      await this.#inTurn(async () => {
        const isWanted = place < this.#course.plan.processes && this.#serving[place] === undefined;
        if (isWanted && !signal.aborted) await this.#fill(place);
      });
    } catch (error) {
      if (signal.aborted) return;
      const next = this.#pause(place, false);
      publish('notice', {
        level: 'error',
        message: `a process cannot be started; it is tried again in ${next} ms`,
        error,
      });
      await this.#replace(place, next);
    }
  }

  /** Who dies of its start is replaced ever more slowly. */
  #pause(place: number, isSturdy: boolean): number {
    const before = this.#pauses[place] ?? 0;
    const pause = isSturdy ? 0 : Math.min(PAUSE.most, Math.max(PAUSE.first, 2 * before));
    this.#pauses[place] = pause;
    return pause;
  }

  #inTurn<T>(action: () => Promise<T>): Promise<T> {
    const turn = this.#turn.then(action);
    this.#turn = turn.catch(() => undefined);
    return turn;
  }
}
