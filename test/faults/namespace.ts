import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { access, constants } from 'node:fs/promises';
import { promisify } from 'node:util';

export const execute = promisify(execFile);

/** Marks the process inside, so that it makes no further namespace. */
const INSIDE = 'LAYOVER_FAULTS_INSIDE';

export function isInside(): boolean {
  return process.env[INSIDE] !== undefined;
}

/** Whether mounts, network and processes of our own can be had here. */
export async function canIsolate(): Promise<boolean> {
  if (process.getuid?.() !== 0) return false;
  const tried = await execute('unshare', ['--mount', '--net', '--pid', '--fork', 'true']).catch(() => undefined);
  return tried !== undefined;
}

/**
 * Runs this program again with mounts, processes and a network of its own, in which nothing but itself can be reached.
 * When it ends, or this process does, the kernel ends what was started inside and drops every mount.
 */
export async function runInside(args: readonly string[]): Promise<number> {
  const isolation = ['--mount', '--net', '--pid', '--ipc', '--fork', '--kill-child', '--mount-proc'];
  const child = spawn('unshare', [...isolation, process.execPath, ...process.execArgv, ...args], {
    stdio: 'inherit',
    env: { ...process.env, PATH: systemPath(), [INSIDE]: '1' },
  });
  const end = (): void => void child.kill('SIGKILL');
  process.once('exit', end);
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, end);
  const [code] = await once(child, 'exit');
  process.off('exit', end);
  return typeof code === 'number' ? code : 1;
}

/** PATH without the folders that npm puts before it: a package has a command of the name nft, too. */
function systemPath(): string {
  const folders = `${process.env.PATH ?? ''}:/usr/sbin:/sbin`.split(':');
  return folders.filter((folder) => !folder.endsWith('/node_modules/.bin')).join(':');
}

/** Makes loopback work in a network namespace. */
export async function openLoopback(): Promise<void> {
  await execute('ip', ['link', 'set', 'lo', 'up']);
}

/** The programs among `names` that this machine does not have, in the folders of PATH and those of the system. */
export async function missing(names: readonly string[], path = systemPath()): Promise<string[]> {
  const folders = path.split(':');
  const absent: string[] = [];
  for (const name of names) {
    const found = await Promise.any(folders.map((folder) => access(`${folder}/${name}`, constants.X_OK))).then(
      () => true,
      () => false,
    );
    if (!found) absent.push(name);
  }
  return absent;
}
