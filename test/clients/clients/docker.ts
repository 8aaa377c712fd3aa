import { join } from 'node:path';
import type { Machine } from '../machine.ts';
import type { Daemon } from '../process.ts';
import type { Account, Client, Pulled, Store } from './client.ts';
import { Containerd, keepsWrongBytes } from './containerd.ts';

interface Inspected {
  readonly Id: string;
  readonly RepoDigests: readonly string[];
  readonly RootFS: { readonly Layers: readonly string[] };
  readonly Architecture: string;
}

/** A dockerd with an empty store, and the docker command that speaks to it. */
export class Docker implements AsyncDisposable {
  readonly #machine: Machine;
  readonly #daemon: Daemon;
  readonly #socket: string;
  readonly #config: string;

  private constructor(machine: Machine, folder: string, home: string, storage: readonly string[]) {
    this.#machine = machine;
    this.#socket = `unix://${join(folder, 'docker.sock')}`;
    this.#config = home;
    const state = ['--data-root', join(folder, 'data'), '--exec-root', join(folder, 'exec')];
    const address = ['--pidfile', join(folder, 'pid'), '--host', this.#socket];
    const network = ['--bridge', 'none', '--iptables=false', '--ip6tables=false'];
    const argv = ['dockerd', ...state, ...address, ...network, ...storage];
    this.#daemon = machine.start(argv, join(folder, 'dockerd.log'));
  }

  static async start(machine: Machine, home: string, storage: readonly string[]): Promise<Docker> {
    const docker = new Docker(machine, await machine.folder('docker'), home, storage);
    await docker.#daemon.ready(() => docker.command(['version']));
    return docker;
  }

  command(args: readonly string[], input = ''): Promise<Buffer> {
    return this.#machine.run(['docker', '--host', this.#socket, '--config', this.#config, ...args], { input });
  }

  async login(registry: string, { username, password }: Account): Promise<void> {
    await this.command(['login', '--username', username, '--password-stdin', registry], password);
  }

  async pull(reference: string, architecture: string): Promise<void> {
    await this.command(['pull', '--quiet', '--platform', `linux/${architecture}`, reference]);
  }

  async push(from: string, to: string, options: readonly string[] = []): Promise<void> {
    await this.command(['tag', from, to]);
    await this.command(['push', '--quiet', ...options, to]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#daemon[Symbol.asyncDispose]();
  }
}

/** Docker's own image store, the only one up to Docker 22. */
class GraphStore implements Store {
  readonly #docker: Docker;

  constructor(docker: Docker) {
    this.#docker = docker;
  }

  login(registry: string, account: Account): Promise<void> {
    return this.#docker.login(registry, account);
  }

  async pull(reference: string, architecture: string): Promise<Pulled> {
    await this.#docker.pull(reference, architecture);
    const output = await this.#docker.command(['image', 'inspect', reference]);
    const [image] = JSON.parse(output.toString()) as [Inspected];
    return {
      manifests: image.RepoDigests.map((name) => name.slice(name.indexOf('@') + 1)),
      config: image.Id,
      layers: image.RootFS.Layers,
      architecture: image.Architecture,
    };
  }

  push(from: string, to: string): Promise<void> {
    return this.#docker.push(from, to);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#docker[Symbol.asyncDispose]();
  }
}

/** The containerd image store, the default of a fresh Docker 29. */
class ContainerdImageStore implements Store {
  readonly #docker: Docker;
  readonly #containerd: Containerd;

  constructor(docker: Docker, containerd: Containerd) {
    this.#docker = docker;
    this.#containerd = containerd;
  }

  login(registry: string, account: Account): Promise<void> {
    return this.#docker.login(registry, account);
  }

  async pull(reference: string, architecture: string): Promise<Pulled> {
    await this.#docker.pull(reference, architecture);
    return this.#containerd.read(reference, architecture);
  }

  push(from: string, to: string, architecture: string): Promise<void> {
    return this.#docker.push(from, to, ['--platform', `linux/${architecture}`]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#docker[Symbol.asyncDispose]();
    await this.#containerd[Symbol.asyncDispose]();
  }
}

export const docker: Client = {
  version: ['dockerd', '--version'],
  async open(machine, home) {
    return new GraphStore(await Docker.start(machine, home, ['--storage-driver', 'vfs']));
  },
};

export const dockerWithContainerd: Client = {
  version: ['dockerd', '--version'],
  remarks: keepsWrongBytes,
  async open(machine, home) {
    const containerd = await Containerd.start(machine, 'moby');
    const storage = ['--containerd', containerd.address, '--feature', 'containerd-snapshotter=true'];
    return new ContainerdImageStore(await Docker.start(machine, home, storage), containerd);
  },
};
