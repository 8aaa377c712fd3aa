import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Door } from '../doors.ts';
import { buildkitPrograms } from '../go-programs.ts';
import type { Machine } from '../machine.ts';
import type { Daemon } from '../process.ts';
import type { Account, Client, Pulled, Store } from './client.ts';
import { readLayout } from './layout.ts';

const hub = 'https://index.docker.io/v1/';
export const keepsWrongBytesUntilPruned = {
  'corrupt fill': 'BuildKit keeps the wrong bytes until `buildctl prune`, which the test runs',
};

/** A buildkitd with an empty cache, and the buildctl that speaks to it. */
export class Buildkitd implements AsyncDisposable {
  readonly address: string;
  readonly #machine: Machine;
  readonly #programs: string;
  readonly #home: string;
  readonly #daemon: Daemon;

  private constructor(machine: Machine, programs: string, folder: string, home: string, door: Door) {
    this.#machine = machine;
    this.#programs = programs;
    this.#home = home;
    this.address = `unix://${join(folder, 'buildkitd.sock')}`;
    const worker = ['--oci-worker=true', '--containerd-worker=false', '--oci-worker-snapshotter=native'];
    const config = Object.keys(door.files).flatMap((file) => ['--config', file]);
    const argv = [join(programs, 'buildkitd'), ...worker, ...config, '--root', join(folder, 'root')];
    this.#daemon = machine.start([...argv, '--addr', this.address], join(folder, 'buildkitd.log'));
  }

  /** `programs` is their folder on the machine, `home` that of the accounts. */
  static async start(machine: Machine, programs: string, home: string, door: Door): Promise<Buildkitd> {
    const daemon = new Buildkitd(machine, programs, await machine.folder('buildkitd'), home, door);
    await daemon.#daemon.ready(() => daemon.buildctl(['debug', 'workers']));
    return daemon;
  }

  buildctl(args: readonly string[]): Promise<Buffer> {
    const env = { DOCKER_CONFIG: this.#home };
    return this.#machine.run([join(this.#programs, 'buildctl'), '--addr', this.address, ...args], { env });
  }

  /** Neither it nor its clients have a login: they read what docker keeps. */
  async login(registry: string, { username, password }: Account): Promise<void> {
    const key = registry === 'docker.io' ? hub : registry;
    const auths = { [key]: { auth: btoa(`${username}:${password}`) } };
    await writeFile(join(this.#home, 'config.json'), JSON.stringify({ auths }));
  }

  async prune(): Promise<void> {
    await this.buildctl(['prune', '--all']);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#daemon[Symbol.asyncDispose]();
  }
}

/** A folder with nothing but a `FROM`. */
export async function makeContext(folder: string, reference: string): Promise<string> {
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, 'Dockerfile'), `FROM ${reference}\n`);
  return folder;
}

/** What was built: the layers of the image it came from, under a config of its own; `digest` is that image's. */
export async function readBuilt(layout: string, digest: string): Promise<Pulled> {
  const { layers, architecture } = await readLayout(layout);
  return { manifests: [digest], layers, architecture };
}

/** Builds by buildctl. */
class BuildkitStore implements Store {
  readonly #daemon: Buildkitd;
  readonly #folder: string;
  #builds = 0;

  constructor(daemon: Buildkitd, folder: string) {
    this.#daemon = daemon;
    this.#folder = folder;
  }

  login(registry: string, account: Account): Promise<void> {
    return this.#daemon.login(registry, account);
  }

  async pull(reference: string, architecture: string): Promise<Pulled> {
    const layout = join(this.#folder, `image-${this.#builds}`);
    return readBuilt(layout, await this.#build(reference, architecture, `type=oci,tar=false,dest=${layout}`));
  }

  async push(from: string, to: string, architecture: string): Promise<void> {
    await this.#build(from, architecture, `type=image,name=${to},push=true`);
  }

  discard(): Promise<void> {
    return this.#daemon.prune();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#daemon[Symbol.asyncDispose]();
  }

  /** The digest that the reference stood for. */
  async #build(reference: string, architecture: string, output: string): Promise<string> {
    const context = await makeContext(join(this.#folder, `context-${this.#builds++}`), reference);
    const trace = join(context, 'trace');
    const sources = ['--local', `context=${context}`, '--local', `dockerfile=${context}`];
    const options = [...sources, '--opt', `platform=linux/${architecture}`, '--trace', trace, '--output', output];
    await this.#daemon.buildctl(['build', '--frontend', 'dockerfile.v0', ...options]);
    const [, digest] = /FROM [^\s@]+@(sha256:[0-9a-f]{64})/.exec(await readFile(trace, 'utf8')) ?? [];
    if (digest === undefined) throw new Error(`no digest of ${reference} in ${trace}`);
    return digest;
  }
}

export const buildkit: Client = {
  version: [buildkitPrograms.path('buildctl'), '--version'],
  remarks: keepsWrongBytesUntilPruned,
  async open(machine, home, door) {
    const daemon = await Buildkitd.start(machine, buildkitPrograms.folder, home, door);
    return new BuildkitStore(daemon, await machine.folder('buildctl'));
  },
};
