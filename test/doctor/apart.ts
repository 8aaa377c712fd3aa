import { execFile, spawnSync } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { canIsolate, missing } from '../faults/namespace.ts';
import type { Outcome } from './scene.ts';

/**
 * What a program found out on a machine with a network, processes and mounts of its own, given a directory; `undefined`
 * where no such machine can be had: it needs root and these `programs`.
 */
export async function runApart(
  program: string,
  programs: readonly string[],
): Promise<Readonly<Record<string, Outcome>> | undefined> {
  const absent = await missing(['unshare', 'ip', ...programs]);
  if (absent.length > 0 || !(await canIsolate()) || !canMount()) return undefined;
  const dir = await mkdtemp(join(tmpdir(), 'layover-machine-'));
  const isolation = ['-m', '-n', '--pid', '--fork', '--kill-child', '--mount-proc'];
  const node = [process.execPath, '--disable-warning=ExperimentalWarning', program];
  try {
    const { stdout } = await promisify(execFile)('unshare', [...isolation, ...node, dir], { timeout: 280_000 });
    return JSON.parse(stdout);
  } finally {
    await rm(dir, { recursive: true, force: true, maxRetries: 5 });
  }
}

function canMount(): boolean {
  return spawnSync('unshare', ['-m', 'mount', '-t', 'tmpfs', 'tmpfs', '/mnt']).status === 0;
}

/** Whether files can be laid over those of the machine. */
export function canOverlay(): boolean {
  const script = `mount -t tmpfs tmpfs /mnt && mkdir /mnt/over /mnt/work &&
    mount -t overlay -o lowerdir=/etc,upperdir=/mnt/over,workdir=/mnt/work overlay /etc`;
  return spawnSync('unshare', ['-m', 'sh', '-c', script]).status === 0;
}
