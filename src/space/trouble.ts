import { publish } from '../events.ts';
import { removeFile, writeTemporary } from '../store/disk.ts';
import { troubleOf } from '../store/trouble.ts';

const PROBE_EVERY = 2000;
const PROBE = Buffer.alloc(64 << 10, 1);

/** What an operator does about it. */
const ADVICE = {
  ENOSPC: 'free space or inodes on its file system (df, df -i)',
  EDQUOT: 'raise the quota of its owner',
  EROFS: 'mount its file system writable again',
  EIO: "its disk reports errors, see the kernel's log",
} as const;

/** Whether the directories of a store can be written; while not, one probe every two seconds finds out. */
export class Trouble {
  readonly #root: string;
  readonly #directories: readonly string[];
  #code: keyof typeof ADVICE | undefined;
  #probing: NodeJS.Timeout | undefined;

  /** `root` stands for the `directories`, which are made when first needed, in what the operator reads. */
  constructor(root: string, directories: readonly string[]) {
    this.#root = root;
    this.#directories = directories;
  }

  get isThere(): boolean {
    return this.#code !== undefined;
  }

  report(error: unknown): void {
    const code = troubleOf(error);
    if (code === undefined || this.#code !== undefined) return;
    this.#code = code;
    publish('space', { phase: 'failing', code });
    const message = `${this.#root} cannot be written (${code}): what is pulled passes through unkept; ${ADVICE[code]}`;
    publish('notice', { level: 'error', message, error });
    this.#probing = setInterval(() => void this.#probe(), PROBE_EVERY).unref();
  }

  close(): void {
    clearInterval(this.#probing);
  }

  async #probe(): Promise<void> {
    try {
      for (const directory of this.#directories) {
        await removeFile(await writeTemporary(directory, PROBE, { durable: true }));
      }
    } catch {
      return;
    }
    if (this.#code === undefined) return;
    this.#code = undefined;
    clearInterval(this.#probing);
    publish('space', { phase: 'recovered' });
    publish('notice', { level: 'warn', message: `${this.#root} can be written again: what is pulled is kept` });
  }
}
