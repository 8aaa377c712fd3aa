import { mkdir, open, rm } from 'node:fs/promises';
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
    await this.#unmount();
    await this.#mount();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#unmount();
    await rm(this.#image, { force: true });
  }

  async #mount(): Promise<void> {
    await execute('mount', ['-o', 'loop', this.#image, this.path]);
  }

  /** Processes that were just killed may hold it for a moment. */
  async #unmount(): Promise<void> {
    for (let tries = 100; ; tries--) {
      try {
        await execute('umount', [this.path]);
        return;
      } catch (error) {
        if (tries === 0) throw error;
        await sleep(50);
      }
    }
  }
}
