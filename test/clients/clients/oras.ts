import { join } from 'node:path';
import type { Door } from '../doors.ts';
import type { Machine } from '../machine.ts';
import { type Discovery, stepsWithReferrers } from '../referrers.ts';
import type { Row } from '../steps.ts';
import type { Account, Client, Pulled, Store } from './client.ts';
import { readLayout } from './layout.ts';

class OrasStore implements Store {
  readonly #machine: Machine;
  readonly #folder: string;
  readonly #accounts: string;
  readonly #plain: boolean;
  readonly #pulled = new Map<string, string>();

  constructor(machine: Machine, folder: string, home: string, door: Door) {
    this.#machine = machine;
    this.#folder = folder;
    this.#accounts = join(home, 'config.json');
    this.#plain = door.name === 'path';
  }

  async login(registry: string, { username, password }: Account): Promise<void> {
    const options = ['--registry-config', this.#accounts, '--username', username, '--password-stdin'];
    await this.#machine.run(['oras', 'login', ...options, registry], { input: password });
  }

  async pull(reference: string, architecture: string): Promise<Pulled> {
    const layout = join(this.#folder, `image-${this.#pulled.size}`);
    this.#pulled.set(reference, layout);
    const options = ['--from-registry-config', this.#accounts, ...(this.#plain ? ['--from-plain-http'] : [])];
    const target = ['--to-oci-layout', `${layout}:pulled`];
    await this.#machine.run(['oras', 'copy', ...options, '--platform', `linux/${architecture}`, reference, ...target]);
    return readLayout(layout);
  }

  async push(from: string, to: string): Promise<void> {
    const source = ['--from-oci-layout', `${this.#pulled.get(from)}:pulled`];
    await this.#machine.run(['oras', 'copy', '--to-registry-config', this.#accounts, ...source, to]);
  }

  async [Symbol.asyncDispose](): Promise<void> {}
}

export const oras: Client = {
  version: ['dpkg-query', '--show', 'oras'],
  async open(machine, home, door) {
    return new OrasStore(machine, await machine.folder('oras'), home, door);
  },
};

const plain = ({ door }: Row) => (door.name === 'path' ? ['--plain-http'] : []);
const discovery: Discovery = {
  async list(row, reference) {
    const output = await row.machine.run(['oras', 'discover', '--format', 'json', ...plain(row), reference]);
    const { referrers } = JSON.parse(output.toString()) as {
      readonly referrers: readonly { readonly digest: string }[];
    };
    return referrers.map(({ digest }) => digest);
  },
  async read(row, repository, artifact, layer) {
    const manifest = await row.machine.run(['oras', 'manifest', 'fetch', ...plain(row), `${repository}@${artifact}`]);
    if (!manifest.includes(layer)) throw new Error(`${artifact} does not name ${layer}`);
    return row.machine.run(['oras', 'blob', 'fetch', '--output', '-', ...plain(row), `${repository}@${layer}`]);
  },
};
export const orasSteps = stepsWithReferrers(discovery);
