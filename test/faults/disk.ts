import { mkdir, open, rm, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { execute } from './namespace.ts';

const IMAGE_SIZE = 512 << 20;

/** A file system in a file, whose power can be cut. Lives in a mount namespace of its own. */
export class Disk implements AsyncDisposable {
  readonly path: string;
  readonly #image: string;

  private constructor(path: string, image: string) {
    this.path = path;
    this.#image = image;
  }

  static async make(dir: string, kind: 'ext4' | 'xfs'): Promise<Disk> {
    const disk = new Disk(join(dir, 'disk'), join(dir, 'disk.img'));
    await rm(disk.#image, { force: true });
    await mkdir(disk.path, { recursive: true });
    await using file = await open(disk.#image, 'w');
    await file.truncate(IMAGE_SIZE);
    await execute(`mkfs.${kind}`, ['-q', disk.#image]);
    await disk.#mount();
    return disk;
  }

  /** Nothing reaches the disk any more that has not reached it yet, not even the journal. */
  async cut(): Promise<void> {
    await execute('xfs_io', ['-x', '-c', 'shutdown', this.path]);
  }

  /** What the machine finds after the power has come back. */
  async again(): Promise<void> {
    await unmount(this.path);
    await this.#mount();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await unmount(this.path);
    await rm(this.#image, { force: true });
  }

  async #mount(): Promise<void> {
    await execute('mount', ['-o', 'loop', this.#image, this.path]);
  }
}

/** A file system in memory that is soon full. Lives in a mount namespace of its own. */
export class SmallDisk implements AsyncDisposable {
  readonly path: string;
  readonly #size: number;

  private constructor(path: string, size: number) {
    this.path = path;
    this.#size = size;
  }

  /** `size`: bytes. */
  static async make(dir: string, size: number): Promise<SmallDisk> {
    const disk = new SmallDisk(join(dir, 'small'), size);
    await mkdir(disk.path, { recursive: true });
    await execute('mount', ['-t', 'tmpfs', '-o', `size=${size}`, 'tmpfs', disk.path]);
    return disk;
  }

  /** Bytes that are free. */
  async free(): Promise<number> {
    const { bavail, bsize } = await statfs(this.path);
    return bavail * bsize;
  }

  /** Somebody else's file, which leaves so many bytes free. */
  async fill(left: number): Promise<void> {
    const ballast = await open(join(this.path, 'ballast'), 'a');
    const block = Buffer.alloc(1 << 20);
    try {
      for (let free = await this.free(); free > left; free = await this.free()) {
        await ballast.write(block.subarray(0, Math.min(block.length, free - left)));
      }
    } catch (error) {
      // The gateway took the last byte meanwhile.
      if (!(error instanceof Error && 'code' in error && error.code === 'ENOSPC')) throw error;
    } finally {
      await ballast.close();
    }
  }

  async empty(): Promise<void> {
    await rm(join(this.path, 'ballast'), { force: true });
  }

  /** Bytes in use. */
  async used(): Promise<number> {
    return this.#size - (await this.free());
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await unmount(this.path);
  }
}

/** Processes that were just killed may hold it for a moment. */
async function unmount(path: string): Promise<void> {
  for (let tries = 100; ; tries--) {
    try {
      await execute('umount', [path]);
      return;
    } catch (error) {
      if (tries === 0) throw error;
      await sleep(50);
    }
  }
}
