import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Machine } from '../machine.ts';
import type { Account } from './client.ts';

/** The storage in files that podman and buildah have in common, and how each of the two programs works on it. */
export class ContainersStore {
  readonly #machine: Machine;
  readonly #program: readonly string[];
  readonly #authFile: string;

  private constructor(machine: Machine, program: readonly string[], authFile: string) {
    this.#machine = machine;
    this.#program = program;
    this.#authFile = authFile;
  }

  static async open(program: string, machine: Machine, home: string): Promise<ContainersStore> {
    const authFile = join(home, 'auth.json');
    // podman 4 refuses the name of a file that is not there
    await writeFile(authFile, '{}', { flag: 'wx' }).catch(() => {});
    const folder = await machine.folder(program);
    const store = ['--root', `${folder}/store`, '--runroot', `${folder}/run`, '--storage-driver', 'vfs'];
    return new ContainersStore(machine, [program, ...store], authFile);
  }

  async login(registry: string, { username, password }: Account): Promise<void> {
    await this.run(['login', ...this.#auth, '--username', username, '--password-stdin', registry], password);
  }

  async pull(reference: string, architecture: string): Promise<void> {
    await this.run(['pull', '--quiet', ...this.#auth, '--platform', `linux/${architecture}`, reference]);
  }

  async push(from: string, to: string): Promise<void> {
    await this.run(['push', '--quiet', ...this.#auth, from, to]);
  }

  run(args: readonly string[], input = ''): Promise<Buffer> {
    return this.#machine.run([...this.#program, ...args], { input });
  }

  get #auth(): readonly string[] {
    return ['--authfile', this.#authFile];
  }
}
