import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { loadConfig } from '../../src/config/load.ts';
import type { Reload } from '../../src/config/reload.ts';
import { type Layover, startLayover } from '../../src/main.ts';
import { Client } from './client.ts';
import type { ProfileName } from './upstream/profile.ts';
import type { FakeUpstream } from './upstream/upstream.ts';

/** The namespace under which a gateway in tests presents the registry that a profile plays. */
export const NAMESPACE: Readonly<Record<ProfileName, string>> = {
  hub: 'docker.io',
  ghcr: 'ghcr.io',
  quay: 'quay.io',
  lscr: 'lscr.io',
  k8s: 'registry.k8s.io',
  gar: 'gcr.io',
  mcr: 'mcr.microsoft.com',
  basic: 'reg.example.com',
};

/** The host name that clients of a namespace speak to. */
export function hostOf(namespace: string): string {
  return namespace === 'docker.io' ? 'registry-1.docker.io' : namespace;
}

/** The operator's log is for whoever looks into a failing test: `LAYOVER_TEST_LOG=1 npm test …`. */
const LOUD = process.env.LAYOVER_TEST_LOG !== undefined;

export interface GatewayOptions {
  readonly upstreams: readonly FakeUpstream[];
  /** Merged over the configuration, key by key at the top and in `storage`. */
  readonly config?: Readonly<Record<string, unknown>>;
  /** Merged over what a namespace's upstream needs. */
  readonly settings?: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
  /** Upstreams that are nobody's of `upstreams`, by namespace. */
  readonly further?: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
  /** Host names that the client finds here beside those that are configured. */
  readonly hosts?: readonly string[];
  /** The clock that grants go by; epoch milliseconds. */
  readonly now?: () => number;
}

/** A real gateway in this process, in a directory of its own, in front of fake upstreams. */
export class TestGateway implements AsyncDisposable {
  readonly dir: string;
  readonly #config: Readonly<Record<string, unknown>>;
  readonly #hosts: readonly string[];
  readonly #now: () => number;
  #layover: Layover | undefined;
  #client: Client | undefined;

  private constructor(
    dir: string,
    config: Readonly<Record<string, unknown>>,
    { hosts = [], now = Date.now }: GatewayOptions,
  ) {
    this.dir = dir;
    this.#config = config;
    this.#hosts = hosts;
    this.#now = now;
  }

  static async start(options: GatewayOptions): Promise<TestGateway> {
    const dir = await mkdtemp(join(tmpdir(), 'layover-gateway-'));
    const gateway = new TestGateway(dir, await configOf(dir, options), options);
    await writeFile(join(dir, 'gateway.yaml'), stringify(gateway.#config));
    await gateway.up();
    return gateway;
  }

  /** Starts it again on the same directory; ports change. */
  async up(): Promise<void> {
    const config = await loadConfig({ file: join(this.dir, 'gateway.yaml'), env: {}, cwd: this.dir });
    this.#layover = await startLayover(config, {}, { now: this.#now, silent: !LOUD });
    const { port } = this.#layover.addresses.https[0];
    const presented = Object.values(config.upstreams).flatMap((upstream) => [...upstream.hosts, ...upstream.authHosts]);
    const hosts = [...presented, ...this.#hosts];
    const connectTo = Object.fromEntries(hosts.map((host) => [`${host}:443`, { address: '127.0.0.1', port }]));
    this.#client = new Client({ ca: this.#layover.root.certificatePem, connectTo, keepAlive: true });
  }

  async down(): Promise<void> {
    this.#client?.[Symbol.dispose]();
    await this.#layover?.close(0);
  }

  /** Reads the configuration again, with other settings of an upstream laid over those at the start. */
  async reload(namespace: string, settings: Readonly<Record<string, unknown>>): Promise<Reload | undefined> {
    const upstreams = this.#config.upstreams as Readonly<Record<string, object>>;
    const config = {
      ...this.#config,
      upstreams: { ...upstreams, [namespace]: { ...upstreams[namespace], ...settings } },
    };
    await writeFile(join(this.dir, 'gateway.yaml'), stringify(config));
    return this.#layover?.reload(await loadConfig({ file: join(this.dir, 'gateway.yaml'), env: {}, cwd: this.dir }));
  }

  async restart(): Promise<void> {
    await this.down();
    await this.up();
  }

  /** Trusts the gateway's root, and finds every presented name at its TLS listener. */
  get client(): Client {
    if (this.#client === undefined) throw new Error('the gateway is not up');
    return this.#client;
  }

  /** Origin of the plain listener: mirror and path doors. */
  get own(): string {
    return `http://127.0.0.1:${this.#layover?.addresses.http[0].port}`;
  }

  get admin(): string {
    return `http://127.0.0.1:${this.#layover?.addresses.admin?.[0].port}`;
  }

  get tlsPort(): number {
    return this.#layover?.addresses.https[0].port ?? 0;
  }

  /** PEM of the root that clients trust. */
  rootCertificate(): Promise<string> {
    return readFile(join(this.dir, 'certs', 'ca.crt'), 'utf8');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.down();
    await rm(this.dir, { recursive: true, force: true, maxRetries: 5 });
  }
}

async function configOf(
  dir: string,
  { upstreams, config, settings, further }: GatewayOptions,
): Promise<Readonly<Record<string, unknown>>> {
  const entries: [string, object][] = [];
  for (const upstream of upstreams) {
    const namespace = NAMESPACE[upstream.profile];
    entries.push([namespace, await upstreamConfig(dir, namespace, upstream, settings?.[namespace] ?? {})]);
  }
  return {
    listen: { https: '127.0.0.1:0', http: '127.0.0.1:0', admin: '127.0.0.1:0' },
    names: ['gateway.lan', '127.0.0.1'],
    certs: { dir: join(dir, 'certs') },
    log: { level: 'error', access: { file: join(dir, 'access.log') } },
    ...config,
    storage: { root: join(dir, 'data'), reserve: 0, ...(config?.storage ?? {}) },
    upstreams: { ...Object.fromEntries(entries), ...further },
  };
}

/** An upstream on loopback: its hosts have to be listed, since their addresses are private. */
async function upstreamConfig(
  dir: string,
  namespace: string,
  upstream: FakeUpstream,
  settings: object,
): Promise<object> {
  const roles = upstream.roles.map((role) => upstream.authority(role));
  const ca = join(dir, `${namespace}.pem`);
  if (upstream.ca !== undefined) await writeFile(ca, upstream.ca);
  return {
    urls: [upstream.url()],
    ...(upstream.ca !== undefined && { ca }),
    tokenHosts: roles,
    blobHosts: roles,
    ...settings,
  };
}
