import { randomUUID } from 'node:crypto';
import { chmod, link, mkdir, open, readFile, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';

/**
 * The two files of a root CA, `ca.key` and `ca.crt`, in a directory that only their owner can enter. Each is published
 * whole and once: of several processes that start together the first wins, and all of them go on with its file. The
 * key always comes first and the certificate is made for the key that won, so that the two belong together.
 */
export interface RootFiles {
  readonly keyFile: string;
  readonly certificateFile: string;
  readonly key: string;
  readonly certificate: string;
}

/** Reads the pair, making what is missing. */
export async function keepRootFiles(
  directory: string,
  make: { key(): string; certificate(key: string, keyFile: string): string },
): Promise<RootFiles> {
  const keyFile = join(directory, 'ca.key');
  const certificateFile = join(directory, 'ca.crt');
  const madeDirectory = await mkdir(directory, { recursive: true, mode: 0o700 });
  if (madeDirectory !== undefined) await syncDirectory(dirname(madeDirectory));
  if (!(await exists(keyFile))) {
    await refuseLonelyCertificate(keyFile, certificateFile);
    if (await isOpenToOthers(directory)) await chmod(directory, 0o700);
    await refuseLooseMode(directory, '700');
    await publishOnce(keyFile, make.key(), 0o600);
  }
  await refuseLooseMode(directory, '700');
  await refuseLooseMode(keyFile, '600');
  const key = await readFile(keyFile, 'utf8');
  if (!(await exists(certificateFile))) await publishOnce(certificateFile, make.certificate(key, keyFile), 0o644);
  return { keyFile, certificateFile, key, certificate: await readFile(certificateFile, 'utf8') };
}

/** Looks at the key once more: where a certificate is, its key was published before it. */
async function refuseLonelyCertificate(keyFile: string, certificateFile: string): Promise<void> {
  if (!(await exists(certificateFile)) || (await exists(keyFile))) return;
  throw new Error(
    `${certificateFile} is there but its key ${keyFile} is not: bring the key back, or move the certificate away to have a new root CA made (clients must then trust the new one)`,
  );
}

async function refuseLooseMode(path: string, octal: string): Promise<void> {
  if (!(await isOpenToOthers(path))) return;
  const quoted = /^[\w@%+=:,./-]+$/.test(path) ? path : `'${path.replaceAll("'", "'\\''")}'`;
  throw new Error(
    `the root CA's private key must be closed to other users, but they may use ${path}; run: chmod ${octal} ${quoted}`,
  );
}

async function isOpenToOthers(path: string): Promise<boolean> {
  return ((await stat(path)).mode & 0o077) !== 0;
}

/** Creates the file with all its bytes on disk, or leaves the one that is there. */
async function publishOnce(path: string, text: string, mode: number): Promise<void> {
  const temporary = `${path}.${randomUUID()}`;
  try {
    await writeDurably(temporary, text, mode);
    await link(temporary, path).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'EEXIST') throw new Error(`cannot publish ${path} by a hard link`, { cause: error });
    });
  } finally {
    await rm(temporary, { force: true });
  }
  await syncDirectory(dirname(path));
}

async function writeDurably(path: string, text: string, mode: number): Promise<void> {
  await using file = await open(path, 'wx', mode);
  await file.writeFile(text);
  await file.sync();
}

async function syncDirectory(path: string): Promise<void> {
  await using directory = await open(path, 'r');
  await directory.sync();
}

async function exists(path: string): Promise<boolean> {
  try {
    await stat(path);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false;
    throw error;
  }
}
