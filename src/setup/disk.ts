import {
  chmodSync,
  chownSync,
  closeSync,
  existsSync,
  fsyncSync,
  lstatSync,
  mkdirSync,
  openSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmdirSync,
  rmSync,
  type Stats,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { Unsuitable } from './unsuitable.ts';

/** The files of a machine, or of an image of one below a directory. Texts have one character for each byte. */
export class Disk {
  readonly #root: string;

  constructor(root: string) {
    this.#root = root;
  }

  /** Whether it is the machine itself, and not a directory that will be one. */
  get isMachine(): boolean {
    return this.#root === '/';
  }

  has(path: string): boolean {
    return existsSync(join(this.#root, path));
  }

  read(path: string): string | undefined {
    try {
      return readFileSync(this.#locate(path), 'latin1');
    } catch (error) {
      if (isCode(error, 'ENOENT') || isCode(error, 'ENOTDIR')) return undefined;
      if (isCode(error, 'EACCES')) throw new Unsuitable(`${path} cannot be read: run this as root`, { cause: error });
      throw error;
    }
  }

  /** Whole or not at all, with the mode and the owner of the file that stands there or of `like`, and the times of `like`. */
  write(path: string, text: string, like?: string): void {
    const file = this.#locate(path);
    const model = like === undefined ? statOf(file) : statOf(this.#locate(like));
    const temporary = this.#temporary(file);
    // Until it has the mode of what it replaces, nobody else may read it.
    writeFileSync(temporary, text, { encoding: 'latin1', mode: 0o600 });
    dress(temporary, model, like !== undefined);
    sync(temporary);
    try {
      renameSync(temporary, file);
    } catch (error) {
      // A file that is a mount of its own, as /etc/hosts in containers.
      if (!isCode(error, 'EBUSY')) throw error;
      writeFileSync(file, text, 'latin1');
      dress(file, model, like !== undefined);
      rmSync(temporary, { force: true });
    }
  }

  /** A copy with mode, owner and times. */
  copy(from: string, to: string, text: string): void {
    this.write(to, text, from);
  }

  remove(path: string): void {
    rmSync(this.#locate(path), { force: true });
  }

  /** What an interrupted write may have left. */
  sweep(path: string): void {
    rmSync(this.#temporary(this.#locate(path)), { force: true });
  }

  makeDirectory(path: string, mode = 0o755): void {
    const directory = join(this.#root, path);
    if (existsSync(directory)) return;
    mkdirSync(directory);
    chmodSync(directory, mode);
  }

  /** Only when nothing is in it. */
  removeDirectory(path: string): void {
    try {
      rmdirSync(join(this.#root, path));
    } catch (error) {
      if (!isCode(error, 'ENOTEMPTY') && !isCode(error, 'ENOENT') && !isCode(error, 'EEXIST')) throw error;
    }
  }

  removeTree(path: string): void {
    rmSync(join(this.#root, path), { recursive: true, force: true });
  }

  /** The directories that have to be made for a file, outer ones first. */
  missing(path: string): readonly string[] {
    const parent = dirname(path);
    return this.has(parent) ? [] : [...this.missing(parent), parent];
  }

  #temporary(file: string): string {
    return `${file}.layover-new`;
  }

  /** Of a symbolic link its target, so that it stays one; in an image it would lead out of it. */
  #locate(path: string): string {
    const file = join(this.#root, path);
    if (!lstatSync(file, { throwIfNoEntry: false })?.isSymbolicLink()) return file;
    if (this.isMachine) return realpathSync(file);
    throw new Unsuitable(`${path} is a symbolic link there, which might lead out of it: change its target yourself`);
  }
}

function statOf(file: string): Stats | undefined {
  return statSync(file, { throwIfNoEntry: false });
}

function dress(file: string, model: Stats | undefined, isTimed: boolean): void {
  chmodSync(file, (model?.mode ?? 0o644) & 0o7777);
  if (model === undefined) return;
  if (process.getuid?.() === 0) chownSync(file, model.uid, model.gid);
  if (isTimed) utimesSync(file, model.atimeMs / 1000, model.mtimeMs / 1000);
}

function sync(file: string): void {
  const descriptor = openSync(file, 'r+');
  try {
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}

function isCode(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code;
}
