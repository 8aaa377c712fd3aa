import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Door } from '../doors.ts';
import { buildkitPrograms } from '../go-programs.ts';
import type { Machine } from '../machine.ts';
import type { Daemon } from '../process.ts';
import type { Account, Client, Pulled, Store } from './client.ts';
import { readLayout } from './layout.ts';

const buildctl = buildkitPrograms.path('buildctl');
const hub = 'https://index.docker.io/v1/';

/** A buildkitd with an empty cache, and builds that consist of one `FROM`. */
class BuildkitStore implements Store {
  readonly #machine: Machine;
  readonly #folder: string;
  readonly #home: string;
  readonly #address: string;
  readonly #daemon: Daemon;
  #builds = 0;

  private constructor(machine: Machine, folder: string, home: string, door: Door) {
    this.#machine = machine;
    this.#folder = folder;
    this.#home = home;
    this.#address = `unix://${join(folder, 'buildkitd.sock')}`;
    const worker = ['--oci-worker=true', '--containerd-worker=false', '--oci-worker-snapshotter=native'];
    const config = Object.keys(door.files).flatMap((file) => ['--config', file]);
    const argv = [buildkitPrograms.path('buildkitd'), ...worker, ...config, '--root', join(folder, 'root')];
    this.#daemon = machine.start([...argv, '--addr', this.#address], join(folder, 'buildkitd.log'));
  }

  static async start(machine: Machine, home: string, door: Door): Promise<BuildkitStore> {
    const store = new BuildkitStore(machine, await machine.folder('buildkit'), home, door);
    await store.#daemon.ready(() => store.#buildctl(['debug', 'workers']));
    return store;
  }

  /** buildctl has no login: it reads what docker keeps. */
  async login(registry: string, { username, password }: Account): Promise<void> {
    const key = registry === 'docker.io' ? hub : registry;
    const auths = { [key]: { auth: btoa(`${username}:${password}`) } };
    await writeFile(join(this.#home, 'config.json'), JSON.stringify({ auths }));
  }

  async pull(reference: string, architecture: string): Promise<Pulled> {
    const layout = join(this.#folder, `image-${this.#builds}`);
    const digest = await this.#build(reference, architecture, `type=oci,tar=false,dest=${layout}`);
    // the image it makes has the layers of the one it came from, under a config of its own
    const { layers, architecture: built } = await readLayout(layout);
    return { manifests: [digest], layers, architecture: built };
  }

  async push(from: string, to: string, architecture: string): Promise<void> {
    await this.#build(from, architecture, `type=image,name=${to},push=true`);
  }

  async discard(): Promise<void> {
    await this.#buildctl(['prune', '--all']);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#daemon[Symbol.asyncDispose]();
  }

  /** The digest that the reference stood for. */
  async #build(reference: string, architecture: string, output: string): Promise<string> {
    const context = join(this.#folder, `context-${this.#builds++}`);
    await mkdir(context);
    await writeFile(join(context, 'Dockerfile'), `FROM ${reference}\n`);
    const sources = ['--local', `context=${context}`, '--local', `dockerfile=${context}`];
    const platform = ['--opt', `platform=linux/${architecture}`];
    const trace = join(context, 'trace');
    const options = [...sources, ...platform, '--trace', trace, '--output', output];
    await this.#buildctl(['build', '--frontend', 'dockerfile.v0', ...options]);
    const [, digest] = /FROM [^\s@]+@(sha256:[0-9a-f]{64})/.exec(await readFile(trace, 'utf8')) ?? [];
    if (digest === undefined) throw new Error(`no digest of ${reference} in ${trace}`);
    return digest;
  }

  #buildctl(args: readonly string[]): Promise<Buffer> {
    const env = { DOCKER_CONFIG: this.#home };
    return this.#machine.run([buildctl, '--addr', this.#address, ...args], { env });
  }
}

export const buildkit: Client = {
  version: [buildctl, '--version'],
  remarks: { 'corrupt fill': 'BuildKit keeps the wrong bytes until `buildctl prune`, which the test runs' },
  open: (machine, home, door) => BuildkitStore.start(machine, home, door),
};
