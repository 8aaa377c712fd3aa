import type { Server } from 'node:net';
import { Meeting } from './talk.ts';

/** Milliseconds that another process has for its answer. */
const PROMPT = 1_000;
/** Milliseconds that it has to take what is left to it. */
const PATIENCE = 10_000;

const PREFIX = 'worker-';

/** Under which a process can be asked. */
export function nameOf(pid: number): string {
  return `${PREFIX}${pid}`;
}

/** What one process is asked by the others, and by a new supervisor. */
export interface Answers {
  readonly metrics: () => Promise<string>;
  /** What it is fetching. */
  readonly fetches: () => string;
  /** What one leaves that ends. */
  readonly inherit: (left: string) => Promise<void>;
  /** Whether it takes requests. */
  readonly isReady: () => boolean;
  /** Somebody else has taken its place. */
  readonly drain: () => void;
}

/** The processes that serve from one data directory, as one of them sees the others. */
export class Crew implements Disposable {
  readonly #meeting: Meeting;
  readonly #name = nameOf(process.pid);
  #server: Server | undefined;

  private constructor(meeting: Meeting) {
    this.#meeting = meeting;
  }

  /** `root`: the data directory, an absolute path. */
  static async open(root: string): Promise<Crew> {
    return new Crew(await Meeting.open(root));
  }

  /** From here on the others are answered. */
  async join({ metrics, fetches, inherit, isReady, drain }: Answers): Promise<void> {
    // Process identifiers are used again.
    this.#meeting.forget(this.#name);
    this.#server = await this.#meeting.listen(this.#name, async (question) => {
      switch (question) {
        case 'metrics':
          return await metrics();
        case 'fetches':
          return fetches();
        case 'ready':
          return String(isReady());
        case 'drain':
          drain();
          return 'draining';
        case 'who':
          return String(process.pid);
        default:
          if (!question.startsWith('{')) throw new Error(`nobody asks a process ${question}`);
          await inherit(question);
          return 'inherited';
      }
    });
  }

  /** The metrics of the others, as they tell them. */
  async metrics(): Promise<readonly string[]> {
    return await this.#ask('metrics');
  }

  /** What the others are fetching, as they tell it. */
  async fetches(): Promise<readonly string[]> {
    return await this.#ask('fetches');
  }

  /** Leaves something, an object as JSON, to one of those that go on, if there is one. */
  async bequeath(left: string): Promise<void> {
    for (const name of this.#others()) {
      if ((await this.#meeting.ask(name, 'ready', PROMPT)) !== 'true') continue;
      // Nobody else is asked after that: a slow one may still take it.
      await this.#meeting.ask(name, left, PATIENCE);
      return;
    }
  }

  /** How many of the others take requests. */
  async ready(): Promise<number> {
    return (await this.#ask('ready')).filter((answer) => answer === 'true').length;
  }

  [Symbol.dispose](): void {
    this.#server?.close();
  }

  #others(): readonly string[] {
    return this.#meeting.names().filter((name) => name.startsWith(PREFIX) && name !== this.#name);
  }

  /** Who does not answer in time is left out. */
  async #ask(question: string): Promise<readonly string[]> {
    const answers = await Promise.all(this.#others().map((name) => this.#meeting.ask(name, question, PROMPT)));
    return answers.filter((answer) => answer !== undefined);
  }
}
