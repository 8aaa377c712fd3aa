import { randomUUID } from 'node:crypto';
import { chown, open, readFile, realpath, rename, rm, stat } from 'node:fs/promises';
import { resolve } from 'node:path';
import type { Config } from '../config/config.ts';
import { hashPassword } from '../users/hash.ts';
import { objectionToName, objectionToPassword, parseHtpasswd, withUser } from '../users/htpasswd.ts';
import { askPassword, passwordFromStdin } from './password.ts';

export interface UserOptions {
  /** The htpasswd file, instead of the one of the configuration. */
  readonly file?: string | undefined;
  readonly 'password-stdin'?: boolean | undefined;
  readonly json?: boolean | undefined;
}

type Load = () => Promise<Config>;

/** `add NAME`, `remove NAME` or `list`; returns what to tell. */
export function user([verb, ...words]: readonly string[], options: UserOptions, load: Load): Promise<string> {
  if (verb === 'add') return addUser(words, options, load);
  if (verb === 'remove') return removeUser(words, options, load);
  if (verb === 'list' && words.length === 0) return listUsers(options, load);
  throw new Error('expected user add NAME, user remove NAME or user list');
}

/** Adds a user or gives one another password. */
async function addUser(words: readonly string[], options: UserOptions, load: Load): Promise<string> {
  const name = nameIn(words);
  const file = await fileOf(options, load);
  const text = await read(file);
  const isNew = !parseHtpasswd(text, file).has(name);
  const password = options['password-stdin'] === true ? await passwordFromStdin() : await askPassword(name);
  const objection = objectionToPassword(password);
  if (objection !== undefined) throw new Error(objection);
  await write(file, withUser(text, name, await hashPassword(password)));
  return `${name} ${isNew ? 'was added to' : 'has another password in'} ${file}; a running gateway notices by itself\n`;
}

/** Takes a user out; tokens that were given out end with it. */
async function removeUser(words: readonly string[], options: UserOptions, load: Load): Promise<string> {
  const name = nameIn(words);
  const file = await fileOf(options, load);
  const text = await read(file);
  if (!parseHtpasswd(text, file).has(name)) throw new Error(`${file} has no user ${name}`);
  await write(file, withUser(text, name, undefined));
  return `${name} was removed from ${file}; a running gateway notices by itself\n`;
}

/** The names, one on each line. */
async function listUsers(options: UserOptions, load: Load): Promise<string> {
  const file = await fileOf(options, load);
  const names = [...parseHtpasswd(await read(file), file).keys()];
  return options.json === true ? `${JSON.stringify(names)}\n` : names.map((name) => `${name}\n`).join('');
}

/** A second word could be a password, which would be in the shell's history already. */
function nameIn(words: readonly string[]): string {
  const [name = '', ...more] = words;
  if (more.length > 0) throw new Error('expected one name; a password is asked for, never given as a word');
  const objection = objectionToName(name);
  if (objection !== undefined) throw new Error(`expected a name: ${objection}`);
  return name;
}

async function fileOf({ file }: UserOptions, load: Load): Promise<string> {
  const path = file === undefined ? (await load()).users.file : resolve(file);
  if (path === undefined) throw new Error('the configuration names no users.file: set it, or name one by --file');
  return path;
}

/** One that is not there has no users. */
async function read(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return '';
    throw error;
  }
}

/** Whole or not at all, for its owner's eyes alone, and in the same hands as before. */
async function write(path: string, text: string): Promise<void> {
  // A link is followed: what it leads to is the file.
  const file = await realpath(path).catch(() => path);
  const temporary = `${file}.${randomUUID()}`;
  const before = await stat(file).catch(() => undefined);
  try {
    const handle = await open(temporary, 'wx', 0o600);
    try {
      await handle.writeFile(text);
      await handle.sync();
    } finally {
      await handle.close();
    }
    if (before !== undefined && before.uid !== process.getuid?.()) await chown(temporary, before.uid, before.gid);
    await rename(temporary, file);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
}
