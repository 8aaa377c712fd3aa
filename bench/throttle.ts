import { existsSync } from 'node:fs';
import { mkdir, readFile, rmdir, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { tree } from './usage.ts';

/** Of cgroup v1: what a process syncs to a disk itself is slowed down; the kernel's own writing-back is not. */
const ROOT = '/sys/fs/cgroup/blkio';
const LIMIT = 'blkio.throttle.write_bps_device';

/** Why writes to the disk under a directory cannot be slowed down here. */
export async function cannotThrottle(dir: string): Promise<string | undefined> {
  if (process.getuid?.() !== 0) return 'it needs root, to slow a disk down';
  if (!existsSync(join(ROOT, LIMIT))) return 'there is no blkio controller of cgroup v1 to slow a disk down with';
  return (await device(dir)) === undefined ? `${dir} lies on no disk of its own` : undefined;
}

/** A process and those it started, with a slow disk under a directory until it is disposed of. */
export class Throttle implements AsyncDisposable {
  readonly #group: string;
  readonly #pid: number;
  readonly #device: string;

  private constructor(group: string, pid: number, device: string) {
    this.#group = group;
    this.#pid = pid;
    this.#device = device;
  }

  static async on(pid: number, dir: string, bytesPerSecond: number): Promise<Throttle> {
    const throttle = new Throttle(join(ROOT, `layover-bench-${pid}`), pid, (await device(dir)) ?? '');
    await mkdir(throttle.#group);
    await throttle.#limit(bytesPerSecond);
    await throttle.#move(throttle.#group);
    return throttle;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#limit(0);
    await this.#move(ROOT);
    await rmdir(this.#group);
  }

  /** 0 lifts it. */
  async #limit(bytesPerSecond: number): Promise<void> {
    await writeFile(join(this.#group, LIMIT), `${this.#device} ${bytesPerSecond}`);
  }

  async #move(group: string): Promise<void> {
    for (const pid of tree(this.#pid)) await writeFile(join(group, 'cgroup.procs'), String(pid));
  }
}

/** `major:minor` of the whole disk under a directory. */
async function device(dir: string): Promise<string | undefined> {
  const { dev } = await stat(dir, { bigint: true });
  // makedev(3)
  const major = ((dev >> 8n) & 0xfffn) | ((dev >> 32n) & ~0xfffn);
  const minor = (dev & 0xffn) | ((dev >> 12n) & ~0xffn);
  const entry = `/sys/dev/block/${major}:${minor}`;
  if (!existsSync(entry)) return undefined;
  const disk = existsSync(join(entry, 'partition')) ? join(entry, '..') : entry;
  return (await readFile(join(disk, 'dev'), 'utf8')).trim();
}
