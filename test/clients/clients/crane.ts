import { join } from 'node:path';
import type { Door } from '../doors.ts';
import type { Machine } from '../machine.ts';
import type { Account, Client, Pulled, Store } from './client.ts';
import { readLayout } from './layout.ts';

class CraneStore implements Store {
  readonly #machine: Machine;
  readonly #folder: string;
  readonly #home: string;
  readonly #options: readonly string[];
  readonly #pulled = new Map<string, string>();

  constructor(machine: Machine, folder: string, home: string, door: Door) {
    this.#machine = machine;
    this.#folder = folder;
    this.#home = home;
    this.#options = door.name === 'path' ? ['--insecure'] : [];
  }

  async login(registry: string, { username, password }: Account): Promise<void> {
    await this.#crane(['auth', 'login', registry, '--username', username, '--password-stdin'], password);
  }

  async pull(reference: string, architecture: string): Promise<Pulled> {
    const layout = join(this.#folder, `image-${this.#pulled.size}`);
    this.#pulled.set(reference, layout);
    await this.#crane(['pull', '--platform', `linux/${architecture}`, '--format', 'oci', reference, layout]);
    return readLayout(layout);
  }

  async push(from: string, to: string): Promise<void> {
    await this.#crane(['push', this.#pulled.get(from) ?? '', to]);
  }

  async [Symbol.asyncDispose](): Promise<void> {}

  #crane(args: readonly string[], input = ''): Promise<Buffer> {
    return this.#machine.run(['crane', ...this.#options, ...args], { input, env: { DOCKER_CONFIG: this.#home } });
  }
}

export const crane: Client = {
  version: ['dpkg-query', '--show', 'crane'],
  async open(machine, home, door) {
    return new CraneStore(machine, await machine.folder('crane'), home, door);
  },
};
