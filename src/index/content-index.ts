import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import { publish, subscribe } from '../events.ts';
import type { Digest } from '../oci/digest.ts';
import type { CatalogEntry } from './catalog.ts';
import type { Kept } from './database.ts';
import type { Inventory } from './inventory.ts';
import { Journal } from './journal.ts';
import type { Answers, Ask, IndexState, Question, Report, Setting } from './questions.ts';

/** Milliseconds for which news is gathered. */
const GATHER = 3000;
/** Digests with news that are handed over at once: more would take the thread that serves clients too long. */
const ENOUGH = 2000;

/** Milliseconds that the thread has for its last news: it may wait for another process. */
const CLOSING = 2000;
/** Of the thread's heap: enough for rows that are looked at once (MiB). */
const YOUNG = 8;

type Message = Report | { readonly id: number; readonly answer?: unknown; readonly error?: unknown };

/**
 * What the files answer badly: when something was last used, and who names it. It hears of content by events and
 * works on a thread of its own. Nothing depends on it: while it is not there its answers are empty.
 */
export class ContentIndex implements AsyncDisposable {
  readonly #setting: Setting;
  readonly #journal = new Journal();
  readonly #asked = new Map<number, PromiseWithResolvers<unknown>>();
  readonly #unsubscribe: () => void;
  #worker: Worker | undefined;
  #gathering: NodeJS.Timeout | undefined;
  #state: IndexState = 'absent';
  #questions = 0;

  /** `directory` of the index itself, the `cache` that it is about, and the `claims` of processes that share both; absolute paths. */
  constructor(directory: string, cache: string, claims?: string) {
    this.#setting = { file: join(directory, 'content.sqlite'), cache, claims };
    this.#unsubscribe = subscribe('content', (event) => {
      this.#journal.note(event);
      if (this.#journal.size >= ENOUGH) this.#flush();
      else this.#gathering ??= setTimeout(() => this.#flush(), GATHER).unref();
    });
  }

  get state(): IndexState {
    return this.#state;
  }

  /** Begins to work; before that, news is gathered only. */
  start(): void {
    const options = { workerData: this.#setting, resourceLimits: { maxYoungGenerationSizeMb: YOUNG } };
    const worker = new Worker(new URL('./worker.ts', import.meta.url), options);
    worker.unref();
    worker.on('message', (message: Message) => this.#hear(message));
    worker.on('error', (error: unknown) => this.#lose(error));
    this.#worker = worker;
    this.#flush();
  }

  /** Reads all files again; resolves when that is done. */
  async rebuild(): Promise<void> {
    await this.#ask({ kind: 'rebuild' });
  }

  /** The namespaced names of the repositories in which something is linked, up to the latest news. */
  async repositories(): Promise<readonly string[]> {
    this.#flush();
    return (await this.#ask({ kind: 'repositories' })) ?? [];
  }

  /** Up to `limit` repositories of which something is here, latest use first; `undefined` while nothing can be said. */
  async catalog(limit: number): Promise<readonly CatalogEntry[] | undefined> {
    this.#flush();
    return await this.#ask({ kind: 'catalog', limit });
  }

  /** What is here, up to the latest news, in the order in which it may go; `undefined` while that is not known. */
  async inventory(kept: Kept): Promise<Inventory | undefined> {
    this.#flush();
    return await this.#ask({ kind: 'inventory', kept });
  }

  /** The digests behind an inventory's ids. */
  async digests(ids: readonly number[]): Promise<readonly Digest[]> {
    return (await this.#ask({ kind: 'digests', ids })) ?? [];
  }

  /** Keeps the latest news and stops. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#unsubscribe();
    this.#flush();
    this.#worker?.ref();
    await Promise.race([this.#ask({ kind: 'close' }), sleep(CLOSING, undefined, { ref: false })]);
    await this.#worker?.terminate();
    this.#lose();
  }

  #flush(): void {
    clearTimeout(this.#gathering);
    this.#gathering = undefined;
    if (this.#worker === undefined && this.#journal.size < ENOUGH) return;
    if (this.#journal.size > 0) void this.#ask({ kind: 'news', entries: this.#journal.take() });
  }

  /** `undefined` when there is no answer, whatever the reason, which is told where it arises. */
  async #ask<Kind extends Ask>(question: Question & { kind: Kind }): Promise<Answers[Kind]['answer'] | undefined> {
    if (this.#worker === undefined) return undefined;
    this.#questions += 1;
    const asked = Promise.withResolvers<unknown>();
    this.#asked.set(this.#questions, asked);
    this.#worker.postMessage({ id: this.#questions, question });
    return (await asked.promise) as Answers[Kind]['answer'];
  }

  #hear(message: Message): void {
    if ('state' in message) this.#enter(message.state);
    else if ('trouble' in message) tell('warn', message.trouble, message.error);
    else {
      if (message.error !== undefined) tell('warn', 'the index does not answer', message.error);
      this.#asked.get(message.id)?.resolve(message.answer);
      this.#asked.delete(message.id);
    }
  }

  #lose(error?: unknown): void {
    this.#worker = undefined;
    if (error !== undefined) tell('error', 'the index stopped working', error);
    for (const { resolve } of this.#asked.values()) resolve(undefined);
    this.#asked.clear();
    this.#enter('absent');
  }

  #enter(state: IndexState): void {
    this.#state = state;
    publish('index', { state });
  }
}

function tell(level: 'warn' | 'error', message: string, error: unknown): void {
  publish('notice', { level, message, error });
}
