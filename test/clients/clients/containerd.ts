import { createHash } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { documented } from '../doors.ts';
import type { Machine } from '../machine.ts';
import type { Daemon } from '../process.ts';
import type { Account, Client, Pulled, Store } from './client.ts';

interface Index {
  readonly manifests: readonly { readonly digest: string; readonly platform: { readonly architecture: string } }[];
}

interface Manifest {
  readonly config: { readonly digest: string };
  readonly layers: readonly { readonly digest: string }[];
}

interface ImageConfig {
  readonly architecture: string;
  readonly rootfs: { readonly diff_ids: readonly string[] };
}

/** A containerd with an empty store. */
export class Containerd implements AsyncDisposable {
  readonly address: string;
  readonly #machine: Machine;
  readonly #daemon: Daemon;
  readonly #namespace: string;

  private constructor(machine: Machine, folder: string, namespace: string) {
    this.#machine = machine;
    this.#namespace = namespace;
    this.address = join(folder, 'containerd.sock');
    const state = ['--root', join(folder, 'root'), '--state', join(folder, 'state'), '--address', this.address];
    this.#daemon = machine.start(['containerd', ...state], join(folder, 'containerd.log'));
  }

  static async start(machine: Machine, namespace: string): Promise<Containerd> {
    const containerd = new Containerd(machine, await machine.folder('containerd'), namespace);
    await containerd.#daemon.ready(() => containerd.ctr(['version']));
    return containerd;
  }

  ctr(args: readonly string[]): Promise<Buffer> {
    return this.#machine.run(['ctr', '--address', this.address, '--namespace', this.#namespace, ...args]);
  }

  /** The digest a name stands for in the image store. */
  async digest(name: string): Promise<string> {
    const list = (await this.ctr(['images', 'list', `name==${name}`])).toString();
    const [digest] = /sha256:[0-9a-f]{64}/.exec(list) ?? [];
    if (digest === undefined) throw new Error(`containerd has no image ${name}:\n${list}`);
    return digest;
  }

  /** Reads an image's index, manifest, config and layers from the content store, and checks their digests. */
  async read(name: string, architecture: string): Promise<Pulled> {
    const index = await this.digest(name);
    const manifests = [index];
    let document = JSON.parse((await this.#content(index)).toString()) as Index | Manifest;
    if ('manifests' in document) {
      const child = document.manifests.find((entry) => entry.platform.architecture === architecture);
      if (child === undefined) throw new Error(`${index} has no platform linux/${architecture}`);
      manifests.push(child.digest);
      document = JSON.parse((await this.#content(child.digest)).toString()) as Manifest;
    }
    await Promise.all(document.layers.map((layer) => this.#content(layer.digest)));
    const config = JSON.parse((await this.#content(document.config.digest)).toString()) as ImageConfig;
    const layers = config.rootfs.diff_ids;
    return { manifests, config: document.config.digest, layers, architecture: config.architecture };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#daemon[Symbol.asyncDispose]();
  }

  async #content(digest: string): Promise<Buffer> {
    const bytes = await this.ctr(['content', 'get', digest]);
    const actual = `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
    if (actual !== digest) throw new Error(`content ${digest} has other bytes (${actual})`);
    return bytes;
  }
}

class ContainerdStore implements Store {
  readonly #containerd: Containerd;
  readonly #home: string;
  readonly #hosts: readonly string[];

  constructor(containerd: Containerd, home: string, hosts: readonly string[]) {
    this.#containerd = containerd;
    this.#home = home;
    this.#hosts = hosts;
  }

  /** ctr has no login: the account goes with each command. */
  async login(_registry: string, { username, password }: Account): Promise<void> {
    await writeFile(join(this.#home, 'user'), `${username}:${password}`);
  }

  async pull(reference: string, architecture: string): Promise<Pulled> {
    await this.#containerd.ctr([
      'images',
      'pull',
      '--platform',
      `linux/${architecture}`,
      ...this.#hosts,
      ...(await this.#user()),
      reference,
    ]);
    return this.#containerd.read(reference, architecture);
  }

  /** containerd 1 pushes the manifest of the platform, containerd 2 the whole index. */
  async push(from: string, to: string, architecture: string): Promise<void> {
    await this.#containerd.ctr([
      'images',
      'push',
      '--platform',
      `linux/${architecture}`,
      ...this.#hosts,
      ...(await this.#user()),
      to,
      from,
    ]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#containerd[Symbol.asyncDispose]();
  }

  async #user(): Promise<string[]> {
    const user = await readFile(join(this.#home, 'user'), 'utf8').catch(() => undefined);
    return user === undefined ? [] : ['--user', user];
  }
}

const hosts = ['--hosts-dir', '/etc/containerd/certs.d'];

export const keepsWrongBytes = {
  'corrupt fill':
    'containerd 2 keeps wrong bytes until it collects its garbage, so a pull within that second fails too',
};

export const containerd: Client = {
  version: ['containerd', '--version'],
  remarks: keepsWrongBytes,
  async open(machine, home, door) {
    const daemon = await Containerd.start(machine, 'default');
    return new ContainerdStore(daemon, home, Object.keys(door.files).length > 0 ? hosts : []);
  },
};

/** containerd 2 that fetches a layer in several ranges at once. */
export const containerdInRanges: Client = {
  ...containerd,
  inRanges: true,
  async open(machine, home, door) {
    await machine.write({ '/etc/containerd/config.toml': documented('parallel') });
    return containerd.open(machine, home, door);
  },
};
