import { chmod, copyFile, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { criPrograms } from '../go-programs.ts';
import type { Machine } from '../machine.ts';
import type { Account, Client, Pulled, Store } from './client.ts';
import { Containerd, keepsWrongBytes } from './containerd.ts';

/** Where the CRI plugin of containerd 1 finds hosts.toml; containerd 2 looks there by itself. */
const configuration = `version = 2
[plugins."io.containerd.grpc.v1.cri".registry]
  config_path = "/etc/containerd/certs.d"
`;

/** Pulls as a kubelet has them done: one call of the CRI, and containerd does the rest. */
class CriStore implements Store {
  readonly #machine: Machine;
  readonly #containerd: Containerd;
  readonly #home: string;
  readonly #program: string;

  private constructor(machine: Machine, containerd: Containerd, home: string, program: string) {
    this.#machine = machine;
    this.#containerd = containerd;
    this.#home = home;
    this.#program = program;
  }

  static async start(machine: Machine, home: string): Promise<CriStore> {
    await machine.write({ '/etc/containerd/config.toml': configuration });
    const program = join(await machine.folder('crictl'), 'crictl');
    await copyFile(criPrograms.path('crictl'), program);
    await chmod(program, 0o755);
    const store = new CriStore(machine, await Containerd.start(machine, 'k8s.io'), home, program);
    await store.#ready();
    return store;
  }

  /** A kubelet has no login: the account goes with each call. */
  async login(_registry: string, account: Account): Promise<void> {
    await writeFile(join(this.#home, 'account.json'), JSON.stringify(account));
  }

  async pull(reference: string, architecture: string): Promise<Pulled> {
    const kept = await readFile(join(this.#home, 'account.json'), 'utf8').catch(() => undefined);
    const account = kept === undefined ? undefined : (JSON.parse(kept) as Account);
    await this.#crictl('pull', ...(account ? ['--creds', `${account.username}:${account.password}`] : []), reference);
    return this.#containerd.read(reference, architecture);
  }

  push(): Promise<void> {
    throw new Error('the CRI has no push');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#containerd[Symbol.asyncDispose]();
  }

  /** containerd answers before its CRI plugin does. */
  async #ready(): Promise<void> {
    for (let attempt = 0; ; attempt++) {
      try {
        await this.#crictl('images');
        return;
      } catch (error) {
        if (attempt === 100) throw error;
      }
      await sleep(100);
    }
  }

  #crictl(...args: readonly string[]): Promise<Buffer> {
    const socket = `unix://${this.#containerd.address}`;
    const options = ['--runtime-endpoint', socket, '--image-endpoint', socket, '--timeout', '60s'];
    return this.#machine.run([this.#program, ...options, ...args], { env: { HOME: this.#home } });
  }
}

export const crictl: Client = {
  version: ['containerd', '--version'],
  remarks: keepsWrongBytes,
  cannot: {
    'other platform': 'a node pulls for its own platform',
    push: 'the CRI has no push',
  },
  open: (machine, home) => CriStore.start(machine, home),
};
