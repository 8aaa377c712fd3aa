import { readFile } from 'node:fs/promises';
import type { Agent } from 'node:http';
import type { Readable } from 'node:stream';
import { createSecureContext } from 'node:tls';
import type { Config, UpstreamConfig } from '../config/config.ts';
import { type Lookup, openLookup } from '../config/lookup.ts';
import type { ClientCertificate, UpstreamOptions } from '../upstream/contract.ts';
import { Limit, type Limits } from '../upstream/limit.ts';
import type { Network } from '../upstream/network.ts';
import { Upstream } from '../upstream/upstream.ts';

/** What stands in the files that the configuration of an upstream names. */
type Files = Pick<UpstreamOptions, 'ca' | 'clientCert' | 'accounts'>;

/** By the upstream's namespace. */
export type FilesByUpstream = ReadonlyMap<string, Files>;

/** Throws when one of them cannot be read or is of no use. */
export async function readFiles(upstreams: Iterable<UpstreamConfig>): Promise<FilesByUpstream> {
  const files = [...upstreams].map(async (upstream) => [upstream.name, await filesOf(upstream)] as const);
  return new Map(await Promise.all(files));
}

async function filesOf({ ca, clientCert, credentials }: UpstreamConfig): Promise<Files> {
  const accounts = credentials.map(async ({ id, username, passwordFile }) => {
    return [id, { username, password: (await readFile(passwordFile, 'utf8')).trim() }] as const;
  });
  return {
    accounts: Object.fromEntries(await Promise.all(accounts)),
    ...(ca !== undefined && { ca: await readFile(ca, 'utf8') }),
    ...(clientCert !== undefined && { clientCert: await readClientCertificate(clientCert) }),
  };
}

async function readClientCertificate({ chain, key }: { chain: string; key: string }): Promise<ClientCertificate> {
  const [cert, secret] = await Promise.all([readFile(chain, 'utf8'), readFile(key, 'utf8')]);
  try {
    createSecureContext({ cert, key: secret });
  } catch (cause) {
    throw new Error(`${chain} and ${key} are not a certificate and its unencrypted key in PEM`, { cause });
  }
  return { cert, key: secret };
}

/** How many upstreams that wildcards stand for are kept open. */
const MOST_MADE = 64;

/** What is kept open to one upstream. */
interface Open {
  readonly options: UpstreamOptions;
  readonly upstream: Upstream;
  /** For what is passed through, by origin. */
  readonly agents: Map<string, Agent>;
}

/** The upstreams of the configuration, each made when it is first needed and again when what it is made of changes. */
export class Upstreams implements AsyncDisposable {
  readonly #network: Network;
  readonly #open = new Map<string, Open>();
  /** What counts requests and bytes goes on counting when its upstream is made anew. */
  readonly #limits = new Map<string, Limit>();
  #config: Config;
  #lookup: Lookup;
  #files: FilesByUpstream;

  constructor(config: Config, files: FilesByUpstream, network: Network) {
    this.#config = config;
    this.#lookup = openLookup(config);
    this.#files = files;
    this.#network = network;
  }

  /** Throws for a name that is not configured. */
  get(name: string): Upstream {
    return this.#opened(name).upstream;
  }

  /** What the configuration says of it; throws for a name that is not configured. */
  settings(name: string): UpstreamConfig {
    const upstream = this.#lookup.upstream(name);
    if (upstream === undefined) throw new Error(`no upstream is called ${name}`);
    return upstream;
  }

  /** The key that a name's settings stand under: another than the name for what a wildcard stands for. */
  keyOf(name: string): string {
    return this.#lookup.upstream(name)?.template ?? name;
  }

  /** Connects to `base` as the upstream's configuration says. */
  agent(name: string, base: URL): Agent {
    const { agents, options } = this.#opened(name);
    const { ca, clientCert, guarded, urls } = options;
    const isOwn = urls.some(({ origin }) => origin === base.origin);
    const secure = base.protocol === 'https:';
    // Nor may the rest of what such a host serves, which stands in no `urls`.
    const isGuarded = guarded === true || (guarded !== undefined && !isOwn);
    const agent =
      agents.get(base.origin) ?? this.#network.agent({ secure, ca, guarded: isGuarded, ...(isOwn && { clientCert }) });
    agents.set(base.origin, agent);
    return agent;
  }

  /** A body at the pace that the limit of its upstream allows. */
  pace(name: string, body: Readable): Readable {
    return this.#limitOf(name).bandwidth.pace(body);
  }

  /**
   * Goes on by another configuration and other files, where some were read; tells which files differ under the names they had. What runs ends as it began, with the
   * account and the certificate of its beginning.
   */
  use(config: Config, files: FilesByUpstream): readonly string[] {
    const before = this.#config.upstreams;
    const differing = [...files].filter(
      ([name, now]) => isSame(config.upstreams[name], before[name]) && !isSame(now, this.#files.get(name)),
    );
    this.#config = config;
    this.#lookup = openLookup(config);
    this.#files = new Map([...this.#files, ...files]);
    for (const name of this.#limits.keys()) this.#limits.get(name)?.set(shareOf(config, name));
    for (const [name, { options }] of this.#open) {
      const upstream = this.#lookup.upstream(name);
      if (upstream === undefined || !isSame(options, this.#optionsOf(upstream))) this.#open.delete(name);
    }
    return differing.map(([name]) => `upstreams.${name} (its files)`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const { upstream } of this.#open.values()) await upstream[Symbol.asyncDispose]();
  }

  #opened(name: string): Open {
    const found = this.#open.get(name);
    if (found !== undefined && found.options.guarded === undefined) return found;
    const options = found?.options ?? this.#optionsOf(this.settings(name));
    const opened = found ?? { options, upstream: new Upstream(options, this.#network), agents: new Map() };
    this.#open.delete(name);
    this.#open.set(name, opened);
    this.#forgetOldest();
    return opened;
  }

  /** Of what wildcards stand for; clients choose the names. What runs there goes on, and idle connections end by themselves. */
  #forgetOldest(): void {
    const made = [...this.#open].filter(([, { options }]) => options.guarded !== undefined);
    const [oldest] = made[0] ?? [];
    if (oldest !== undefined && made.length > MOST_MADE) this.#open.delete(oldest);
  }

  #optionsOf({ name, template, hosts, urls, tokenHosts, blobHosts, parallel }: UpstreamConfig): UpstreamOptions {
    const key = template ?? name;
    // Where nobody wrote what such a host leads to, it must not lead into the network behind us.
    const guarded = this.#config.upstreams[key]?.urls.some(({ hostname }) => hostname === '*') === true;
    return {
      name,
      hosts,
      urls,
      tokenHosts,
      blobHosts,
      ...(template !== undefined && { guarded }),
      limit: this.#limitOf(name),
      parallel,
      ...this.#files.get(key),
    };
  }

  #limitOf(name: string): Limit {
    const key = this.keyOf(name);
    const found = this.#limits.get(key);
    if (found !== undefined) return found;
    const limit = new Limit(key);
    limit.set(shareOf(this.#config, key));
    this.#limits.set(key, limit);
    return limit;
  }
}

/** What one of several processes may have of what all of them may: they do not count together. */
export function shareOf({ processes, upstreams }: Config, name: string): Limits {
  const { requests, bandwidth } = upstreams[name]?.limit ?? {};
  return {
    ...(requests !== undefined && {
      requests: { ...requests, count: Math.max(1, Math.floor(requests.count / processes)) },
    }),
    ...(bandwidth !== undefined && { bandwidth: bandwidth / processes }),
  };
}

function isSame(one: unknown, other: unknown): boolean {
  return JSON.stringify(one) === JSON.stringify(other);
}
