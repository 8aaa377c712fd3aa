import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Machine } from '../machine.ts';
import type { Account, Client, Pulled, Store } from './client.ts';

interface Inspected {
  readonly Id: string;
  readonly RepoDigests: readonly string[];
  readonly RootFS: { readonly Layers: readonly string[] };
  readonly Architecture: string;
}

class PodmanStore implements Store {
  readonly #machine: Machine;
  readonly #folder: string;
  readonly #authFile: string;

  constructor(machine: Machine, folder: string, home: string) {
    this.#machine = machine;
    this.#folder = folder;
    this.#authFile = join(home, 'auth.json');
  }

  async login(registry: string, { username, password }: Account): Promise<void> {
    const options = ['--authfile', this.#authFile, '--username', username, '--password-stdin'];
    await this.#podman(['login', ...options, registry], password);
  }

  async pull(reference: string, architecture: string): Promise<Pulled> {
    const platform = `linux/${architecture}`;
    await this.#podman(['pull', '--quiet', '--authfile', this.#authFile, '--platform', platform, reference]);
    const [image] = JSON.parse((await this.#podman(['image', 'inspect', reference])).toString()) as [Inspected];
    return {
      manifests: image.RepoDigests.map((name) => name.slice(name.indexOf('@') + 1)),
      config: `sha256:${image.Id}`,
      layers: image.RootFS.Layers,
      architecture: image.Architecture,
    };
  }

  async push(from: string, to: string): Promise<void> {
    await this.#podman(['push', '--quiet', '--authfile', this.#authFile, from, to]);
  }

  async [Symbol.asyncDispose](): Promise<void> {}

  #podman(args: readonly string[], input = ''): Promise<Buffer> {
    const store = ['--root', `${this.#folder}/store`, '--runroot', `${this.#folder}/run`, '--storage-driver', 'vfs'];
    return this.#machine.run(['podman', ...store, ...args], { input });
  }
}

export const podman: Client = {
  version: ['podman', '--version'],
  async open(machine, home) {
    // podman 4 refuses the name of a file that is not there
    await writeFile(join(home, 'auth.json'), '{}', { flag: 'wx' }).catch(() => {});
    return new PodmanStore(machine, await machine.folder('podman'), home);
  },
};
