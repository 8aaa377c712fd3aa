import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Machine } from '../machine.ts';
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

/** Builds of one `FROM` by the BuildKit that is part of dockerd. */
class BuildxStore implements Store {
  readonly #docker: Docker;
  readonly #folder: string;
  #builds = 0;

  constructor(docker: Docker, folder: string) {
    this.#docker = docker;
    this.#folder = folder;
  }

  login(registry: string, account: Account): Promise<void> {
    return this.#docker.login(registry, account);
  }

  async pull(reference: string, architecture: string): Promise<Pulled> {
    const digest = await this.#build(reference, architecture, ['--load', '--tag', 'built']);
    const [image] = JSON.parse((await this.#docker.command(['image', 'inspect', 'built'])).toString()) as [Inspected];
    return { manifests: [digest], layers: image.RootFS.Layers, architecture: image.Architecture };
  }

  async push(from: string, to: string, architecture: string): Promise<void> {
    await this.#build(from, architecture, ['--push', '--tag', to]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#docker[Symbol.asyncDispose]();
  }

  /** The digest that the reference stood for. */
  async #build(reference: string, architecture: string, options: readonly string[]): Promise<string> {
    const context = join(this.#folder, `context-${this.#builds++}`);
    const metadata = join(context, 'metadata.json');
    await mkdir(context);
    await writeFile(join(context, 'Dockerfile'), `FROM ${reference}\n`);
    const build = ['buildx', 'build', '--platform', `linux/${architecture}`, '--metadata-file', metadata, ...options];
    await this.#docker.command([...build, '--provenance=false', context]);
    const { 'buildx.build.provenance': provenance } = JSON.parse(await readFile(metadata, 'utf8')) as Metadata;
    const [material] = provenance?.materials ?? [];
    if (material === undefined) throw new Error(`no digest of ${reference} in ${metadata}`);
    return `sha256:${material.digest.sha256}`;
  }
}

async function open(machine: Machine, home: string): Promise<Store> {
  const docker = await Docker.start(machine, home, ['--storage-driver', 'vfs']);
  return new BuildxStore(docker, await machine.folder('buildx'));
}

export const buildx: Client = { version: ['docker', 'buildx', 'version'], open };
