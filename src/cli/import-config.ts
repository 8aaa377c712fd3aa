import { readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { ConfigError } from '../config/error.ts';
import { isNamespace } from '../config/grammar.ts';
import { loadConfig, readText } from '../config/load.ts';
import { fromDistribution } from '../migration/distribution.ts';
import type { Migration, Names } from '../migration/gateway.ts';
import { fromZot } from '../migration/zot.ts';

export interface ImportOptions {
  /** A file that is not there yet; standard output without it. */
  readonly out?: string | undefined;
  /** `destination=namespace`. */
  readonly map?: readonly string[] | undefined;
}

/** Writes a configuration that does what another program's did, and says on standard error what it could not take over. */
export async function importConfig(
  origin: 'zot' | 'distribution',
  files: readonly string[],
  { out, map = [] }: ImportOptions,
): Promise<number> {
  const [file, ...more] = files;
  if (file === undefined || more.length > 0)
    throw new ConfigError([`expected one file: layover import-config ${origin} FILE`]);
  const names = namesOf(map);
  const text = await readText({ file, env: {}, cwd: process.cwd() });
  const migration =
    origin === 'zot'
      ? fromZot(file, text, names, (path) => accountsIn(file, path))
      : fromDistribution(file, text, names);
  await prove(migration);
  if (out === undefined) process.stdout.write(migration.text);
  else await writeNew(out, migration.text);
  const { remarks } = migration;
  process.stderr.write(remarks.map((remark) => `${remark}\n`).join(''));
  return 0;
}

/** Nothing is handed out that would not load. */
async function prove({ text }: Migration): Promise<void> {
  await loadConfig({ file: '(result)', text, env: {}, cwd: process.cwd() });
}

async function writeNew(out: string, text: string): Promise<void> {
  try {
    await writeFile(out, text, { flag: 'wx' });
  } catch (cause) {
    const isThere = cause instanceof Error && 'code' in cause && cause.code === 'EEXIST';
    throw isThere ? new ConfigError([`--out ${out}: the file is there already; name another`], { cause }) : cause;
  }
}

function namesOf(map: readonly string[]): Names {
  return new Map(
    map.map((pair) => {
      const [name = '', namespace = '', ...rest] = pair.split('=');
      if (name !== '' && isNamespace(namespace) && rest.length === 0) return [name, namespace] as const;
      throw new ConfigError([`--map: expected destination=namespace such as docker-images=docker.io`]);
    }),
  );
}

/** The user names of a credentials file of zot, which may be named from where zot ran or beside its configuration. */
function accountsIn(file: string, path: string): ReadonlyMap<string, string> | undefined {
  for (const candidate of [resolve(path), resolve(dirname(file), path)]) {
    try {
      return usernamesIn(readFileSync(candidate, 'utf8'));
    } catch {
      // The next place; that there is none is said beside the key.
    }
  }
  return undefined;
}

function usernamesIn(text: string): ReadonlyMap<string, string> {
  const accounts: Readonly<Record<string, Readonly<Record<string, unknown>>>> = JSON.parse(text);
  return new Map(
    Object.entries(accounts).flatMap(([host, account]) => {
      const [, username] = Object.entries(account).find(([key]) => key.toLowerCase() === 'username') ?? [];
      return typeof username === 'string' && username !== '' ? [[host, username] as const] : [];
    }),
  );
}
