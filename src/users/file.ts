import { readFile, stat } from 'node:fs/promises';
import { publish } from '../events.ts';
import { type Entry, parseHtpasswd } from './htpasswd.ts';

/** Milliseconds for which the file counts as unchanged. */
const RECHECK = 1_000;

/** An htpasswd file, which is read again when it changes. One with a mistake changes nothing. */
export class UsersFile {
  readonly #path: string;
  #entries: ReadonlyMap<string, Entry> = new Map();
  /** Of the file that was read last, right or wrong. */
  #version = '';
  #checked = Number.NEGATIVE_INFINITY;
  #checking: Promise<void> | undefined;

  private constructor(path: string) {
    this.#path = path;
  }

  /** Throws a readable error when it is not there or has a mistake. */
  static async open(path: string): Promise<UsersFile> {
    const file = new UsersFile(path);
    await file.reload();
    return file;
  }

  /** The users of this moment. */
  async entries(): Promise<ReadonlyMap<string, Entry>> {
    if (performance.now() - this.#checked >= RECHECK) {
      this.#checking ??= this.#check().finally(() => {
        this.#checking = undefined;
      });
      await this.#checking;
    }
    return this.#entries;
  }

  /** Reads it now; throws, and leaves everything as it was, when it cannot be used. */
  async reload(): Promise<void> {
    this.#version = await this.#seen();
    this.#entries = parseHtpasswd(await readFile(this.#path, 'utf8'), this.#path);
  }

  async #check(): Promise<void> {
    try {
      if ((await this.#seen()) === this.#version) return;
      await this.reload();
      const message = `${this.#path} was read again: ${this.#entries.size} users`;
      publish('notice', { level: 'info', message });
    } catch (error) {
      publish('notice', {
        level: 'error',
        message: 'the users of before stay, since their file cannot be used',
        error,
      });
    } finally {
      this.#checked = performance.now();
    }
  }

  async #seen(): Promise<string> {
    try {
      const { ino, size, mtimeNs } = await stat(this.#path, { bigint: true });
      return `${ino} ${size} ${mtimeNs}`;
    } catch (cause) {
      const { code } = cause as NodeJS.ErrnoException;
      const advice = code === 'ENOENT' ? ': make it by "layover user add NAME"' : '';
      throw new Error(`users.file: ${this.#path} cannot be read (${code})${advice}`, { cause });
    }
  }
}
