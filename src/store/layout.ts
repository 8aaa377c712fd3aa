import { randomBytes } from 'node:crypto';
import { mkdir, readFile, stat } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { createFile, hasCode, syncDirectory } from './disk.ts';
import { isCount, parseObject, toJson } from './json.ts';

const VERSION = 1;
const KEY_BYTES = 32;

/** The data directory. The directories below it are absolute paths that need not exist yet. */
export interface Layout {
  readonly root: string;
  readonly cache: string;
  readonly hosted: string;
  /** Pushes on their way in. They count for no cache, and lie where `hosted` can take them over without a copy. */
  readonly uploads: string;
  readonly spool: string;
  /** For claims between processes. */
  readonly claims: string;
  readonly index: string;
  /** 32 secret bytes, the same for the life of the data directory and for all processes that share it. */
  readonly grantsKey: Uint8Array;
}

/**
 * Opens a data directory, or makes one (mode 0700). Throws a readable error when a newer version has written it, or
 * when others can read its secret.
 */
export async function openLayout(root: string): Promise<Layout> {
  const path = resolve(root);
  const made = await mkdir(path, { recursive: true, mode: 0o700 });
  if (made !== undefined) await syncDirectory(dirname(made));
  const version = versionOf(await once(path, 'layout.json', () => toJson({ version: VERSION })));
  if (version === undefined) throw new Error(`${join(path, 'layout.json')} does not name the version of its directory`);
  if (version > VERSION) {
    throw new Error(
      `${path} was written by a newer version of Layover (layout ${version}, this one knows ${VERSION}): ` +
        'start that version again, or choose another storage.root',
    );
  }
  return {
    root: path,
    cache: join(path, 'cache'),
    hosted: join(path, 'hosted'),
    uploads: join(path, 'uploads'),
    spool: join(path, 'spool'),
    claims: join(path, 'spool', 'claims'),
    index: join(path, 'index'),
    grantsKey: await openKey(path),
  };
}

async function openKey(root: string): Promise<Uint8Array> {
  const key = await once(root, 'grants.key', () => randomBytes(KEY_BYTES));
  const path = join(root, 'grants.key');
  if (key.length !== KEY_BYTES) throw new Error(`${path} has ${key.length} bytes, not ${KEY_BYTES}: remove it`);
  const { mode } = await stat(path);
  if ((mode & 0o077) !== 0) throw new Error(`${path} can be read by others: chmod 600 '${path}'`);
  return key;
}

/** The content of a file that the first of all processes made. */
async function once(directory: string, name: string, make: () => Uint8Array): Promise<Uint8Array> {
  const path = join(directory, name);
  try {
    return await readFile(path);
  } catch (error) {
    if (!hasCode(error, 'ENOENT')) throw error;
  }
  await createFile(directory, name, make());
  return await readFile(path);
}

function versionOf(bytes: Uint8Array): number | undefined {
  const version = parseObject(bytes)?.version;
  return isCount(version) && version > 0 ? version : undefined;
}
