import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Machine } from '../machine.ts';
import type { Account, Client, Pulled, Store } from './client.ts';

interface Manifest {
  readonly config: { readonly digest: string };
  readonly layers: readonly { readonly digest: string }[];
}

interface ImageConfig {
  readonly architecture: string;
  readonly rootfs: { readonly diff_ids: readonly string[] };
}

class SkopeoStore implements Store {
  readonly #machine: Machine;
  readonly #folder: string;
  readonly #authFile: string;
  readonly #pulled = new Map<string, string>();

  constructor(machine: Machine, folder: string, home: string) {
    this.#machine = machine;
    this.#folder = folder;
    this.#authFile = join(home, 'auth.json');
  }

  async login(registry: string, { username, password }: Account): Promise<void> {
    const options = ['--authfile', this.#authFile, '--username', username, '--password-stdin'];
    await this.#machine.run(['skopeo', 'login', ...options, registry], { input: password });
  }

  async pull(reference: string, architecture: string): Promise<Pulled> {
    const image = `${this.#folder}/image-${this.#pulled.size}`;
    this.#pulled.set(reference, image);
    const platform = ['--override-os', 'linux', '--override-arch', architecture];
    await this.#copy([`docker://${reference}`, `dir:${image}`], platform);
    return readImage(image);
  }

  async push(from: string, to: string): Promise<void> {
    await this.#copy([`dir:${this.#pulled.get(from)}`, `docker://${to}`]);
  }

  async [Symbol.asyncDispose](): Promise<void> {}

  #copy(args: readonly string[], options: readonly string[] = []): Promise<Buffer> {
    return this.#machine.run(['skopeo', ...options, 'copy', '--quiet', '--authfile', this.#authFile, ...args]);
  }
}

/** Reads an image in skopeo's `dir:` layout and checks every file against the digest it is named by. */
async function readImage(folder: string): Promise<Pulled> {
  const bytes = await readFile(join(folder, 'manifest.json'));
  const manifest = JSON.parse(bytes.toString()) as Manifest;
  for (const name of await readdir(folder)) {
    if (!/^[0-9a-f]{64}$/.test(name)) continue;
    if (sha256(await readFile(join(folder, name))) !== name) throw new Error(`blob ${name} has other bytes`);
  }
  const named = (digest: string) => readFile(join(folder, digest.slice('sha256:'.length)));
  await Promise.all(manifest.layers.map((layer) => named(layer.digest)));
  const config = JSON.parse((await named(manifest.config.digest)).toString()) as ImageConfig;
  return {
    manifests: [`sha256:${sha256(bytes)}`],
    config: manifest.config.digest,
    layers: config.rootfs.diff_ids,
    architecture: config.architecture,
  };
}

function sha256(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex');
}

export const skopeo: Client = {
  version: ['skopeo', '--version'],
  async open(machine, home) {
    return new SkopeoStore(machine, await machine.folder('skopeo'), home);
  },
};
