import { createPrivateKey, randomUUID, X509Certificate } from 'node:crypto';
import { chmod, link, mkdir, open, readFile, rename, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';

/** Of the roots in one directory: the one that serves, the one that will, and the one that did. */
export type RootName = 'ca' | 'next' | 'previous';

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

/** Makes what is missing of the pair. */
export async function keepRootFiles(
  directory: string,
  name: RootName,
  make: { key(): string; certificate(key: string, keyFile: string): string },
): Promise<void> {
  const { keyFile, certificateFile } = pathsOf(directory, name);
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
  if (await exists(certificateFile)) return;
  await publishOnce(certificateFile, make.certificate(await readFile(keyFile, 'utf8'), keyFile), 0o644);
}

/**
 * Reads a pair; `undefined` when its certificate is not there. While the serving root is switched, its key may still
 * have the name of the next one, or a certificate read just before may have a previous one; this order misses neither.
 */
export async function readRootFiles(directory: string, name: RootName): Promise<RootFiles | undefined> {
  const { keyFile, certificateFile } = pathsOf(directory, name);
  const certificate = await readIfThere(certificateFile);
  if (certificate === undefined) return undefined;
  await refuseLooseMode(directory, '700');
  const names: readonly RootName[] = name === 'ca' ? ['next', 'ca', 'previous'] : [name];
  for (const candidate of names) {
    const file = pathsOf(directory, candidate).keyFile;
    const key = await readIfThere(file);
    if (key === undefined || !fits(key, certificate)) continue;
    await refuseLooseMode(file, '600');
    return { keyFile: file, certificateFile, key, certificate };
  }
  // Roots were switched between the two looks.
  if ((await readIfThere(certificateFile)) !== certificate) return readRootFiles(directory, name);
  return { keyFile, certificateFile, key: await readFile(keyFile, 'utf8'), certificate };
}

/**
 * Lets the next root serve, and keeps the one before it as `previous`. The certificate's rename is the switch: a
 * process that dies on either side of it leaves one whole root serving. `false` when there is no next root.
 */
export async function switchRoot(directory: string): Promise<boolean> {
  if (await finishSwitch(directory)) return true;
  const [serving, next, previous] = (['ca', 'next', 'previous'] as const).map((name) => pathsOf(directory, name));
  if (!serving || !next || !previous || !(await exists(next.certificateFile))) return false;
  for (const file of ['keyFile', 'certificateFile'] as const) {
    await rm(previous[file], { force: true });
    await link(serving[file], previous[file]);
  }
  await syncDirectory(directory);
  await rename(next.certificateFile, serving.certificateFile);
  await syncDirectory(directory);
  return finishSwitch(directory);
}

/** Gives the key of a root that already serves its name; `false` when it has it. */
export async function finishSwitch(directory: string): Promise<boolean> {
  const [serving, next] = [pathsOf(directory, 'ca'), pathsOf(directory, 'next')];
  if (await exists(next.certificateFile)) return false;
  const [key, certificate] = [await readIfThere(next.keyFile), await readIfThere(serving.certificateFile)];
  if (key === undefined || certificate === undefined || !fits(key, certificate)) return false;
  await ifThere(rename(next.keyFile, serving.keyFile));
  await syncDirectory(directory);
  return true;
}

/** Whether a private key is the one of a certificate; both PEM, either may be broken. */
function fits(key: string, certificate: string): boolean {
  try {
    return new X509Certificate(certificate).checkPrivateKey(createPrivateKey(key));
  } catch {
    return false;
  }
}

function pathsOf(directory: string, name: RootName): { readonly keyFile: string; readonly certificateFile: string } {
  return { keyFile: join(directory, `${name}.key`), certificateFile: join(directory, `${name}.crt`) };
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
  const found = await ifThere(stat(path));
  return found !== undefined && (found.mode & 0o077) !== 0;
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
  return (await ifThere(stat(path))) !== undefined;
}

function readIfThere(path: string): Promise<string | undefined> {
  return ifThere(readFile(path, 'utf8'));
}

async function ifThere<Value>(found: Promise<Value>): Promise<Value | undefined> {
  try {
    return await found;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}
