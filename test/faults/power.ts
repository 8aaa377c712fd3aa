import { setTimeout as sleep } from 'node:timers/promises';
import type { Disk } from './disk.ts';
import type { Random } from './random.ts';
import type { Scene } from './scene.ts';

/** Milliseconds. */
const LATEST_CUT = 1500;

/** Makes every fsync do nothing and say that it did it. */
export const LYING_DISK = [
  'strace',
  ...['-D', '-f', '--seccomp-bpf', '-qq', '-o', '/dev/null'],
  ...['-e', 'trace=fsync,fdatasync', '-e', 'inject=fsync,fdatasync:retval=0'],
];

/** Waits for a moment at which the power may fail. */
export async function untilCut(random: Random): Promise<void> {
  await sleep(random.int(100, LATEST_CUT));
}

/** Lets the power fail, and come back to a machine on which no gateway runs; `stop` ends what the clients do. */
export async function failPower(disk: Disk, scene: Scene, stop: () => void, clients: readonly Promise<void>[]) {
  // Before the kill, so that nothing of it reaches the disk.
  await disk.cut();
  stop();
  await scene.gateway.down('SIGKILL');
  await Promise.all(clients);
  await disk.again();
}
