import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { workspace } from './machine.ts';
import { Daemon } from './process.ts';
import type { Upstream } from './upstreams/upstream.ts';

/** Where the registries' names lead; not a loopback address, for which docker would neither insist on TLS nor check it. */
export const gatewayAddress = '192.0.2.1';
/** How the documents call it. */
export const gatewayName = 'gateway.lan';
const admin = '127.0.0.1:9464';
const folder = join(workspace, 'gateway');

/** The gateway as a user starts it, on the ports that clients expect. */
export class Gateway implements AsyncDisposable {
  readonly #program: string;
  #daemon: Daemon;

  private constructor(program: string) {
    this.#program = program;
    this.#daemon = this.#launch();
  }

  static async start(program: string, upstream: Upstream): Promise<Gateway> {
    await mkdir(folder);
    await writeFile(join(folder, 'gateway.yaml'), stringify(configuration(upstream)));
    const gateway = new Gateway(program);
    await gateway.#ready();
    return gateway;
  }

  /** The root certificate (PEM) that clients must trust. */
  certificate(): Promise<string> {
    return readFile(join(folder, 'certs/ca.crt'), 'utf8');
  }

  async restart(): Promise<void> {
    await this.#daemon[Symbol.asyncDispose]();
    await this.revive();
  }

  /** Ends it as a power cut would; `revive` brings it back. */
  kill(): Promise<void> {
    return this.#daemon.kill();
  }

  async revive(): Promise<void> {
    this.#daemon = this.#launch();
    await this.#ready();
  }

  /** Everything it has logged so far. */
  async logs(): Promise<string> {
    const files = ['gateway.log', 'access.log'].map((name) => readFile(join(folder, name), 'utf8'));
    return (await Promise.all(files)).join('');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#daemon[Symbol.asyncDispose]();
  }

  #launch(): Daemon {
    const argv = [process.execPath, this.#program, 'start', '--config', join(folder, 'gateway.yaml')];
    return new Daemon(argv, join(folder, 'gateway.log'));
  }

  #ready(): Promise<void> {
    return this.#daemon.ready(async () => {
      const { ok, status } = await fetch(`http://${admin}/readyz`);
      if (!ok) throw new Error(`/readyz answers ${status}`);
    });
  }
}

function configuration(upstream: Upstream): object {
  return {
    listen: { https: `${gatewayAddress}:443`, http: `${gatewayAddress}:5000`, admin },
    storage: { root: join(folder, 'data'), reserve: 0 },
    certs: { dir: join(folder, 'certs') },
    log: { access: { file: join(folder, 'access.log'), format: 'json' } },
    names: [gatewayName],
    dns: { pins: Object.fromEntries(upstream.hosts.entries().map(([name, address]) => [name, [address]])) },
    upstreams: { [upstream.registry]: upstream.settings },
  };
}
