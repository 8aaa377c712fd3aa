import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Machine } from '../machine.ts';
import type { Account, Client, Pulled, Store } from './client.ts';

interface Inspected {
  readonly FromImageID: string;
  readonly FromImageDigest: string;
  readonly OCIv1: { readonly architecture: string; readonly rootfs: { readonly diff_ids: readonly string[] } };
}

class BuildahStore implements Store {
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
    await this.#buildah(['login', ...options, registry], password);
  }

  async pull(reference: string, architecture: string): Promise<Pulled> {
    const platform = `linux/${architecture}`;
    await this.#buildah(['pull', '--quiet', '--authfile', this.#authFile, '--platform', platform, reference]);
    const output = await this.#buildah(['inspect', '--type', 'image', reference]);
    const image = JSON.parse(output.toString()) as Inspected;
    return {
      manifests: [image.FromImageDigest],
      config: `sha256:${image.FromImageID}`,
      layers: image.OCIv1.rootfs.diff_ids,
      architecture: image.OCIv1.architecture,
    };
  }

  async push(from: string, to: string): Promise<void> {
    await this.#buildah(['push', '--quiet', '--authfile', this.#authFile, from, `docker://${to}`]);
  }

  async [Symbol.asyncDispose](): Promise<void> {}

  #buildah(args: readonly string[], input = ''): Promise<Buffer> {
    const store = ['--root', `${this.#folder}/store`, '--runroot', `${this.#folder}/run`, '--storage-driver', 'vfs'];
    return this.#machine.run(['buildah', ...store, ...args], { input });
  }
}

export const buildah: Client = {
  version: ['buildah', '--version'],
  async open(machine, home) {
    await writeFile(join(home, 'auth.json'), '{}', { flag: 'wx' }).catch(() => {});
    return new BuildahStore(machine, await machine.folder('buildah'), home);
  },
};
