import { cp, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { buildkitPrograms } from '../go-programs.ts';
import { workspace } from '../machine.ts';
import { Buildkitd, keepsWrongBytesUntilPruned, makeContext, readBuilt } from './buildkit.ts';
import type { Account, Client, Pulled, Store } from './client.ts';
import { Docker } from './docker.ts';

interface Inspected {
  readonly RootFS: { readonly Layers: readonly string[] };
  readonly Architecture: string;
}

interface Metadata {
  readonly 'buildx.build.provenance'?: {
    readonly materials?: readonly { readonly digest: { readonly sha256: string } }[];
  };
}

type Run = (args: readonly string[]) => Promise<Buffer>;

/** Builds by `docker buildx`, each of one `FROM`. */
class Builds {
  readonly #docker: Run;
  readonly #folder: string;
  #count = 0;

  constructor(docker: Run, folder: string) {
    this.#docker = docker;
    this.#folder = folder;
  }

  /** A name for the result, new each time. */
  next(): string {
    return join(this.#folder, `image-${this.#count}`);
  }

  /** The digest that the reference stood for. */
  async run(reference: string, architecture: string, options: readonly string[]): Promise<string> {
    const context = await makeContext(join(this.#folder, `context-${this.#count++}`), reference);
    const file = join(context, 'metadata.json');
    const platform = ['--platform', `linux/${architecture}`];
    await this.#docker([
      'buildx',
      'build',
      ...platform,
      '--metadata-file',
      file,
      '--provenance=false',
      ...options,
      context,
    ]);
    const { 'buildx.build.provenance': provenance } = JSON.parse(await readFile(file, 'utf8')) as Metadata;
    const [material] = provenance?.materials ?? [];
    if (material === undefined) throw new Error(`no digest of ${reference} in ${file}`);
    return `sha256:${material.digest.sha256}`;
  }
}

/** By the BuildKit that is part of dockerd, into docker's own image store. */
class DockerBuildStore implements Store {
  readonly #docker: Docker;
  readonly #builds: Builds;

  constructor(docker: Docker, folder: string) {
    this.#docker = docker;
    this.#builds = new Builds((args) => docker.command(args), folder);
  }

  login(registry: string, account: Account): Promise<void> {
    return this.#docker.login(registry, account);
  }

  async pull(reference: string, architecture: string): Promise<Pulled> {
    const digest = await this.#builds.run(reference, architecture, ['--load', '--tag', 'built']);
    const [image] = JSON.parse((await this.#docker.command(['image', 'inspect', 'built'])).toString()) as [Inspected];
    return { manifests: [digest], layers: image.RootFS.Layers, architecture: image.Architecture };
  }

  async push(from: string, to: string, architecture: string): Promise<void> {
    await this.#builds.run(from, architecture, ['--push', '--tag', to]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#docker[Symbol.asyncDispose]();
  }
}

/** By a buildkitd of its own, which buildx has as a remote builder. */
class RemoteBuildStore implements Store {
  readonly #daemon: Buildkitd;
  readonly #builds: Builds;

  constructor(daemon: Buildkitd, docker: Run, folder: string) {
    this.#daemon = daemon;
    this.#builds = new Builds(docker, folder);
  }

  login(registry: string, account: Account): Promise<void> {
    return this.#daemon.login(registry, account);
  }

  async pull(reference: string, architecture: string): Promise<Pulled> {
    const layout = this.#builds.next();
    const output = ['--output', `type=oci,tar=false,dest=${layout}`];
    return readBuilt(layout, await this.#builds.run(reference, architecture, output));
  }

  async push(from: string, to: string, architecture: string): Promise<void> {
    await this.#builds.run(from, architecture, ['--push', '--tag', to]);
  }

  discard(): Promise<void> {
    return this.#daemon.prune();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#daemon[Symbol.asyncDispose]();
  }
}

const version = ['docker', 'buildx', 'version'];

export const buildx: Client = {
  version,
  async open(machine, home) {
    const docker = await Docker.start(machine, home, ['--storage-driver', 'vfs']);
    return new DockerBuildStore(docker, await machine.folder('buildx'));
  },
};

export const buildxRemote: Client = {
  version,
  remarks: keepsWrongBytesUntilPruned,
  async open(machine, home, door) {
    const daemon = await Buildkitd.start(machine, await copyPrograms(), home, door);
    const folder = await machine.folder('buildx');
    const env = { DOCKER_CONFIG: home, BUILDX_CONFIG: folder };
    const docker: Run = (args) => machine.run(['docker', ...args], { env });
    await docker(['buildx', 'create', '--driver', 'remote', '--use', daemon.address]);
    return new RemoteBuildStore(daemon, docker, folder);
  },
};

/** Where the programs lie that Go has built, on a machine that is not ours. */
async function copyPrograms(): Promise<string> {
  const folder = join(workspace, 'buildkit');
  await cp(buildkitPrograms.folder, folder, { recursive: true, force: false });
  return folder;
}
