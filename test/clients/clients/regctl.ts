import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';
import type { Door } from '../doors.ts';
import { regctlPrograms } from '../go-programs.ts';
import type { Machine } from '../machine.ts';
import { type Discovery, stepsWithReferrers } from '../referrers.ts';
import type { Account, Client, Pulled, Store } from './client.ts';
import { readLayout } from './layout.ts';

const program = regctlPrograms.path('regctl');

function plain({ name }: Door): string[] {
  return name === 'path' ? ['--host', 'reg=gateway.lan:5000,tls=disabled'] : [];
}

class RegctlStore implements Store {
  readonly #machine: Machine;
  readonly #folder: string;
  readonly #home: string;
  readonly #options: readonly string[];
  readonly #pulled = new Map<string, string>();

  constructor(machine: Machine, folder: string, home: string, door: Door) {
    this.#machine = machine;
    this.#folder = folder;
    this.#home = home;
    this.#options = plain(door);
  }

  async login(registry: string, { username, password }: Account): Promise<void> {
    await this.#regctl(['registry', 'login', registry, '--user', username, '--pass-stdin'], password);
  }

  async pull(reference: string, architecture: string): Promise<Pulled> {
    const layout = join(this.#folder, `image-${this.#pulled.size}`);
    this.#pulled.set(reference, layout);
    await this.#regctl([
      'image',
      'copy',
      '--platform',
      `linux/${architecture}`,
      reference,
      `ocidir://${layout}:pulled`,
    ]);
    return readLayout(layout);
  }

  async push(from: string, to: string): Promise<void> {
    await this.#regctl(['image', 'copy', `ocidir://${this.#pulled.get(from)}:pulled`, to]);
  }

  async [Symbol.asyncDispose](): Promise<void> {}

  #regctl(args: readonly string[], input = ''): Promise<Buffer> {
    return this.#machine.run([program, ...this.#options, ...args], { input, env: { HOME: this.#home } });
  }
}

export const regctl: Client = {
  version: [program, 'version', '--format', '{{.VCSTag}}'],
  async open(machine, home, door) {
    for (const [path, text] of Object.entries(door.files)) {
      const own = join(home, relative('/root', path));
      await mkdir(dirname(own), { recursive: true });
      await writeFile(own, text, { flag: 'wx' }).catch(() => {}); // it keeps its accounts there too
    }
    return new RegctlStore(machine, await machine.folder('regctl'), home, door);
  },
};

const discovery: Discovery = {
  async list({ machine, door }, reference) {
    const list = ['artifact', 'list', '--format', '{{range .Descriptors}}{{println .Digest}}{{end}}'];
    return machine.lines([program, ...plain(door), ...list, reference]);
  },
  async read({ machine, door }, repository, artifact, layer) {
    const reference = `${repository}@${artifact}`;
    const manifest = await machine.run([program, ...plain(door), 'manifest', 'get', '--format', 'raw-body', reference]);
    if (!manifest.includes(layer)) throw new Error(`${artifact} does not name ${layer}`);
    return machine.run([program, ...plain(door), 'artifact', 'get', reference]);
  },
};
export const regctlSteps = stepsWithReferrers(discovery);
