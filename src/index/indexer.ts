import { setTimeout as sleep } from 'node:timers/promises';
import type { Claim } from '../store/claim.ts';
import { FileBackend } from '../store/file-backend.ts';
import { FileClaims } from '../store/file-claims.ts';
import { Database } from './database.ts';
import type { Entry } from './journal.ts';
import type { Answers, Ask, Question, Report, Setting } from './questions.ts';
import { rebuild } from './rebuild.ts';
import { isDamaged, isFailed, isInUse, Sqlite } from './sqlite.ts';

/** How long a walk rests for each millisecond that it worked: until it knows what is here, and afterwards. */
const REST = { building: 1 / 3, refreshing: 3 };
/** Milliseconds until what another process was in the way of is tried again. */
const AGAIN = 1000;
const TRIES = 5;

/**
 * The database and whoever writes it, together on a thread of their own. A damaged file or one that was taken away is
 * made anew, one that cannot be written is given up for memory; either is filled again from the files.
 */
export class Indexer {
  readonly #setting: Setting;
  readonly #report: (report: Report) => void;
  readonly #abort = new AbortController();
  readonly #claims: FileClaims | undefined;
  #database: Database;
  #walking: Promise<void> | undefined;

  constructor(setting: Setting, report: (report: Report) => void) {
    this.#setting = setting;
    this.#report = report;
    this.#claims = setting.claims === undefined ? undefined : new FileClaims(setting.claims);
    this.#database = this.#open();
    if (this.#database.isWhole) report({ state: 'ready' });
    else void this.#rebuild();
  }

  async answer<Kind extends Ask>(question: Question & { readonly kind: Kind }): Promise<Answers[Kind]['answer']>;
  async answer(question: Question): Promise<unknown> {
    switch (question.kind) {
      case 'news':
        return this.#take(question.entries);
      case 'rebuild':
        return this.#again();
      case 'repositories':
        return this.#guard((database) => database.repositories());
      case 'catalog':
        return this.#guard((database) => database.catalog(question.limit));
      case 'inventory':
        return this.#guard((database) => (database.isWhole ? database.inventory(question.kept) : undefined));
      case 'digests':
        return this.#guard((database) => database.digests(question.ids));
      case 'close':
        return this.#close();
    }
  }

  async #take(entries: readonly Entry[]): Promise<void> {
    if (!this.#database.isNamed) this.#replace(this.#open());
    for (let tries = 1; ; tries += 1) {
      try {
        return this.#guard((database) => database.apply(entries));
      } catch (error) {
        if (!isInUse(error) || tries === TRIES) throw error;
        await sleep(AGAIN, undefined, { signal: this.#abort.signal });
      }
    }
  }

  /** Reads everything again, to the disk where that had failed before. */
  async #again(): Promise<void> {
    if (this.#database.isInMemory) this.#replace(this.#open());
    await this.#rebuild(true);
  }

  async #close(): Promise<void> {
    this.#abort.abort();
    await this.#walking;
    this.#database[Symbol.dispose]();
  }

  /** Runs `action`, and once more on a new database when this one fails. */
  #guard<T>(action: (database: Database) => T): T {
    try {
      return action(this.#database);
    } catch (error) {
      if (!isFailed(error)) throw error;
      this.#giveUp(error);
      return action(this.#database);
    }
  }

  /** Goes on without the database that failed, and without its file, whose news ends here. */
  #giveUp(error: unknown): void {
    this.#report({ trouble: `the index failed and is made anew${isDamaged(error) ? '' : ', in memory'}`, error });
    try {
      Sqlite.remove(this.#setting.file);
    } catch {
      // On a disk that cannot be written nothing changes that the old file does not know.
    }
    this.#replace(isDamaged(error) ? this.#open() : new Database());
  }

  #replace(database: Database): void {
    try {
      this.#database[Symbol.dispose]();
    } catch {
      // What cannot be closed is of no more use either.
    }
    this.#database = database;
    if (!database.isWhole) void this.#rebuild();
  }

  #open(): Database {
    try {
      return this.#openFile();
    } catch (error) {
      this.#report({ trouble: 'the index cannot be kept on disk and lives in memory', error });
      return new Database();
    }
  }

  #openFile(): Database {
    const { file } = this.#setting;
    try {
      return new Database(file);
    } catch (error) {
      if (!isDamaged(error)) throw error;
      this.#report({ trouble: 'the index is damaged and is made anew', error });
      Sqlite.remove(file);
      return new Database(file);
    }
  }

  #rebuild(isRefresh = false): Promise<void> {
    this.#walking ??= this.#walk(isRefresh).finally(() => {
      this.#walking = undefined;
    });
    return this.#walking;
  }

  /** Fills the database from the files, and then the one that took its place meanwhile, if any did. */
  async #walk(isRefresh: boolean): Promise<void> {
    const { signal } = this.#abort;
    const database = this.#database;
    const rest = database.isWhole ? REST.refreshing : REST.building;
    if (!database.isWhole) this.#report({ state: 'building' });
    let claim: Claim | undefined;
    const pause = async (worked: number): Promise<void> => {
      if (database !== this.#database) throw new Error('the index was made anew');
      claim?.progress();
      await sleep(worked * rest, undefined, { signal });
    };
    try {
      const turn = await this.#turn(database, isRefresh, pause);
      claim = turn === 'alone' || turn === 'done' ? undefined : turn;
      if (turn !== 'done') await rebuild(new FileBackend(this.#setting.cache), database, pause);
      this.#report({ state: 'ready' });
    } catch (error) {
      if (signal.aborted) return;
      if (database === this.#database && isFailed(error)) this.#giveUp(error);
      if (database !== this.#database) return this.#walk(false);
      this.#report({ trouble: 'the index could not be filled from the files', error });
    } finally {
      await claim?.release().catch(() => undefined);
    }
  }

  /** One process walks for all that share the database: the claim to do so, or that another has `done` it meanwhile. */
  async #turn(
    database: Database,
    isRefresh: boolean,
    pause: (worked: number) => Promise<void>,
  ): Promise<Claim | 'alone' | 'done'> {
    if (database.isInMemory || this.#claims === undefined) return 'alone';
    for (let hasWaited = false; ; hasWaited = true) {
      // Where none can be had, the disk may be full.
      const claim = await this.#claims.acquire('index/walk').catch(() => 'alone' as const);
      if (claim === 'alone') return claim;
      const isDone = database.isWhole && (hasWaited || !isRefresh);
      if (claim !== undefined && !isDone) return claim;
      await claim?.release();
      if (claim !== undefined) return 'done';
      await sleep(AGAIN, undefined, { signal: this.#abort.signal });
      await pause(0);
    }
  }
}
