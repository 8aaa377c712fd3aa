import { appendFile, mkdir, mkdtemp, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { Daemon, type RunOptions, run } from './process.ts';

/** The folder that the gateway, the upstream and all clients of a row share; a tmpfs of the row's own. */
export const workspace = '/mnt/row';

/**
 * The file system of a Debian release, entered by chroot. What clients write goes into an overlay in memory,
 * so neither the machine nor the prepared release is changed.
 */
export class Machine {
  readonly #root: string;

  private constructor(root: string) {
    this.#root = root;
  }

  /**
   * Mounts the release at `lower` ("/" is the machine itself); to be called inside a mount namespace of its own.
   */
  static async mount(lower: string): Promise<Machine> {
    const [root, upper, work] = ['/mnt/root', '/mnt/upper', '/mnt/work'] as const;
    await run(['mount', '-t', 'tmpfs', 'tmpfs', '/mnt']);
    await Promise.all([root, upper, work, workspace].map((path) => mkdir(path)));
    const layers = `lowerdir=${lower},upperdir=${upper},workdir=${work}`;
    await run(['mount', '-t', 'overlay', 'overlay', '-o', layers, root]);
    await run(['mount', '-t', 'proc', 'proc', `${root}/proc`]);
    for (const tree of ['/sys', '/dev']) await run(['mount', '--rbind', tree, root + tree]);
    // containerd and dockerd refuse a root that is not a mount point, or that lies on an overlay
    for (const path of ['/run', '/tmp', '/var/lib/docker', '/var/lib/containerd']) {
      await mkdir(root + path, { recursive: true });
      await run(['mount', '-t', 'tmpfs', 'tmpfs', root + path]);
    }
    await mkdir(root + workspace, { recursive: true });
    await run(['mount', '--bind', workspace, root + workspace]);
    return new Machine(root);
  }

  /** Adds a root certificate (PEM) to those that every program of the machine trusts. */
  async trust(certificate: string): Promise<void> {
    await appendFile(`${this.#root}/etc/ssl/certs/ca-certificates.crt`, `\n${certificate}`);
  }

  /** The addresses of host names, by name. */
  resolve(hosts: ReadonlyMap<string, string>): Promise<void> {
    return this.write({ '/etc/hosts': [...hosts].map(([name, address]) => `${address} ${name}\n`).join('') });
  }

  /** Writes files of the machine, by path. */
  async write(files: Readonly<Record<string, string>>): Promise<void> {
    for (const [path, text] of Object.entries(files)) {
      await mkdir(dirname(this.#root + path), { recursive: true });
      await writeFile(this.#root + path, text);
    }
  }

  /** An empty folder that has the same path inside and outside of the machine. */
  folder(name: string): Promise<string> {
    return mkdtemp(join(workspace, `${name}-`));
  }

  run(argv: readonly string[], options?: RunOptions): Promise<Buffer> {
    return run(['chroot', this.#root, ...argv], options);
  }

  async lines(argv: readonly string[], options?: RunOptions): Promise<string[]> {
    const output = await this.run(argv, options);
    return output.toString().split('\n').filter(Boolean);
  }

  start(argv: readonly string[], log: string): Daemon {
    return new Daemon(['chroot', this.#root, ...argv], log);
  }
}
