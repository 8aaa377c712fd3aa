import { lstatSync, mkdirSync, rmSync } from 'node:fs';
import { dirname } from 'node:path';
import { DatabaseSync, type SQLInputValue, type SQLOutputValue, type StatementSync } from 'node:sqlite';
import type { Counted } from './inventory.ts';

/** Milliseconds to wait for another process. */
const BUSY = 10_000;
/** Milliseconds between two tries to open what another process is opening. */
const OPENING = { tries: 100, pause: 20 };
/** Primary result codes (sqlite.org/rescode.html): CORRUPT and NOTADB. */
const DAMAGED = [11, 26];
/** BUSY and LOCKED. */
const IN_USE = [5, 6];

export type Row = readonly SQLOutputValue[];

/** One SQLite database with its statements, prepared once each; everything in it is synchronous. */
export class Sqlite implements Disposable {
  readonly #path: string | undefined;
  readonly #inode: number;
  readonly #database: DatabaseSync;
  readonly #statements = new Map<string, StatementSync>();

  /**
   * Opens the file at `path`, or makes it, with `tables` (SQL); in memory without a path. Nothing in it outlives a power
   * cut for sure. Throws when the file is damaged or of another version.
   */
  constructor(path: string | undefined, tables: string, version: number) {
    this.#path = path;
    if (path !== undefined) mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
    this.#database = new DatabaseSync(path ?? ':memory:', { timeout: BUSY });
    try {
      patiently(() => this.#database.exec('PRAGMA journal_mode = WAL'));
      this.#database.exec('PRAGMA synchronous = OFF; PRAGMA cache_size = -16000');
      const found = this.value('PRAGMA user_version');
      if (found !== 0 && found !== version) throw new Damaged(`its version is ${found}, not ${version}`);
      this.#database.exec(`${tables}; PRAGMA user_version = ${version}`);
      this.#inode = path === undefined ? 0 : lstatSync(path).ino;
    } catch (error) {
      this.#database.close();
      throw error;
    }
  }

  /** Removes a database with what belongs to it. */
  static remove(path: string): void {
    for (const suffix of ['', '-wal', '-shm', '-journal']) rmSync(path + suffix, { force: true });
  }

  get isInMemory(): boolean {
    return this.#path === undefined;
  }

  /** Whether the file still has its name, which an operator may have taken away. */
  get isNamed(): boolean {
    return this.#path === undefined || lstatSync(this.#path, { throwIfNoEntry: false })?.ino === this.#inode;
  }

  run(sql: string, ...values: readonly SQLInputValue[]): void {
    this.#statement(sql).run(...values);
  }

  rows(sql: string, ...values: readonly SQLInputValue[]): Iterable<Row> {
    return this.#statement(sql).iterate(...values) as unknown as Iterable<Row>;
  }

  /** The number in the first column of the first row; `undefined` without one. */
  value(sql: string, ...values: readonly SQLInputValue[]): number | undefined {
    const [first] = (this.#statement(sql).get(...values) as unknown as Row | undefined) ?? [];
    return typeof first === 'number' ? first : undefined;
  }

  /** What is made of the rows of a table, by their first column, and how many there are. Call it in a transaction. */
  counted<Item>(columns: string, from: string, toItem: (row: Row) => Item): Counted<Item> {
    const rows = this.rows(`SELECT ${columns} FROM ${from} ORDER BY 1`);
    return {
      length: this.value(`SELECT count(*) FROM ${from}`) ?? 0,
      *[Symbol.iterator]() {
        for (const row of rows) yield toItem(row);
      },
    };
  }

  /** Everything in `action` or nothing. */
  transaction<T>(action: () => T): T {
    this.#database.exec('BEGIN IMMEDIATE');
    try {
      const result = action();
      this.#database.exec('COMMIT');
      return result;
    } catch (error) {
      if (this.#database.isTransaction) this.#database.exec('ROLLBACK');
      throw error;
    }
  }

  [Symbol.dispose](): void {
    this.#database.close();
  }

  #statement(sql: string): StatementSync {
    const known = this.#statements.get(sql);
    if (known !== undefined) return known;
    const statement = this.#database.prepare(sql);
    statement.setReturnArrays(true);
    this.#statements.set(sql, statement);
    return statement;
  }
}

/** Of several that open a new file together, all but one may be told that it is locked, without having waited. */
function patiently(action: () => void): void {
  for (let tries = 1; ; tries += 1) {
    try {
      action();
      return;
    } catch (error) {
      if (!isInUse(error) || tries === OPENING.tries) throw error;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, OPENING.pause);
    }
  }
}

/** The file is not what was written to it. */
class Damaged extends Error {
  override readonly name = 'Damaged';
}

/** Whether a database has to be made anew. */
export function isDamaged(error: unknown): boolean {
  return error instanceof Damaged || DAMAGED.includes(primaryCode(error) ?? 0);
}

/** Whether a database cannot be used any more; other errors are not the database's. */
export function isFailed(error: unknown): boolean {
  return isDamaged(error) || (primaryCode(error) !== undefined && !isInUse(error));
}

/** Whether another process had the database for too long. */
export function isInUse(error: unknown): boolean {
  return IN_USE.includes(primaryCode(error) ?? 0);
}

function primaryCode(error: unknown): number | undefined {
  const code = error instanceof Error && 'errcode' in error ? error.errcode : undefined;
  return typeof code === 'number' ? code & 0xff : undefined;
}
