import * as fs from 'node:fs';
import { lstat } from 'node:fs/promises';
import { Gate } from './gate.ts';

type Done<T> = (error: Error | null, value: T) => void;

/** A quarter of libuv's thread pool, so that reads of warm content do not queue behind syncs. */
const syncs = new Gate(Math.max(1, Math.floor(Number(process.env.UV_THREADPOOL_SIZE ?? 4) / 4)));

/**
 * A file descriptor with positional input and output by Node's callback functions, which cost half of what a
 * FileHandle does. Closing waits for what is under way: the number of a closed descriptor may already be another file.
 */
export class OpenFile implements AsyncDisposable {
  readonly #fd: number;
  readonly #closed = Promise.withResolvers<void>();
  #active = 0;
  #closing = false;

  private constructor(fd: number) {
    this.#fd = fd;
  }

  /** Opens, but never a file behind a symbolic link in the last component; a new file has mode 0600. */
  static open(path: string, flags: number): Promise<OpenFile> {
    const follow = (flags & fs.constants.O_DIRECTORY) === 0 ? fs.constants.O_NOFOLLOW : 0;
    return new Promise((resolve, reject) => {
      fs.open(path, flags | follow, 0o600, (error, fd) => {
        if (error === null) resolve(new OpenFile(fd));
        else reject(error);
      });
    });
  }

  /** Fills as much of `buffer` as the file has from `position` on; returns the bytes read. */
  read(buffer: Uint8Array, position: number): Promise<number> {
    return this.#call((fd, done) => fill(fd, buffer, 0, position, done));
  }

  /** Writes all of `bytes` at `position`. */
  write(bytes: Uint8Array, position: number): Promise<void> {
    return this.#call((fd, done) => drain(fd, bytes, 0, position, done));
  }

  /** Synchronous: the kernel answers it from memory, in a tenth of the time that asking another thread takes. */
  stat(): fs.BigIntStats {
    if (this.#closing) throw new Error('the file is closed');
    return fs.fstatSync(this.#fd, { bigint: true });
  }

  /** Bytes on disk. Synchronous, as `stat`. */
  allocated(): number {
    return fs.fstatSync(this.#fd).blocks * 512;
  }

  /** Resolves when the content survives a power cut. An error leaves the content unknown for good: never retry. */
  sync(): Promise<void> {
    return syncs.run(() => this.#call<void>((fd, done) => fs.fsync(fd, (error) => done(error, undefined))));
  }

  truncate(size: number): Promise<void> {
    return this.#call((fd, done) => fs.ftruncate(fd, size, (error) => done(error, undefined)));
  }

  chmod(mode: number): Promise<void> {
    return this.#call((fd, done) => fs.fchmod(fd, mode, (error) => done(error, undefined)));
  }

  /** Sets the time of modification; microseconds since the epoch. */
  touch(modified: number): Promise<void> {
    const seconds = modified / 1e6;
    return this.#call((fd, done) => fs.futimes(fd, seconds, seconds, (error) => done(error, undefined)));
  }

  /** Whether `path` leads to this file, and not to a later one. */
  async isAt(path: string): Promise<boolean> {
    const found = await lstat(path, { bigint: true }).catch(() => undefined);
    return found !== undefined && found.ino === this.stat().ino;
  }

  /** Whether the file still has a name anywhere. Synchronous: the kernel answers it from memory. */
  hasName(): boolean {
    return !this.#closing && fs.fstatSync(this.#fd).nlink > 0;
  }

  close(): Promise<void> {
    if (!this.#closing) {
      this.#closing = true;
      if (this.#active === 0) this.#finish();
    }
    return this.#closed.promise;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #call<T>(start: (fd: number, done: Done<T>) => void): Promise<T> {
    if (this.#closing) return Promise.reject(new Error('the file is closed'));
    this.#active += 1;
    return new Promise((resolve, reject) => {
      start(this.#fd, (error, value) => {
        this.#active -= 1;
        if (this.#closing && this.#active === 0) this.#finish();
        if (error === null || error === undefined) resolve(value);
        else reject(error);
      });
    });
  }

  #finish(): void {
    fs.close(this.#fd, (error) => {
      if (error === null || error === undefined) this.#closed.resolve();
      else this.#closed.reject(error);
    });
  }
}

function fill(fd: number, buffer: Uint8Array, filled: number, position: number, done: Done<number>): void {
  fs.read(fd, buffer, filled, buffer.length - filled, position + filled, (error, count) => {
    const total = filled + count;
    if (error !== null || count === 0 || total === buffer.length) done(error, total);
    else fill(fd, buffer, total, position, done);
  });
}

function drain(fd: number, bytes: Uint8Array, written: number, position: number, done: Done<void>): void {
  fs.write(fd, bytes, written, bytes.length - written, position + written, (error, count) => {
    const total = written + count;
    if (error !== null || total === bytes.length) done(error, undefined);
    else drain(fd, bytes, total, position, done);
  });
}
