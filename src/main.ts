import { hkdfSync } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { networkInterfaces } from 'node:os';
import { createAdmin } from './admin/admin.ts';
import { Access } from './auth/access.ts';
import { Callers } from './auth/callers.ts';
import { Challenges } from './auth/challenges.ts';
import { OfflineTokens } from './auth/offline-tokens.ts';
import { Principals } from './auth/principal.ts';
import { TokenRelay } from './auth/token-relay.ts';
import { Cache } from './cache/cache.ts';
import { Fills } from './cache/fills.ts';
import { Membership } from './cache/membership.ts';
import { SmallObjects } from './cache/small-objects.ts';
import type { Config, UpstreamConfig } from './config/config.ts';
import { presentedHosts } from './config/lookup.ts';
import { type Reload, reload } from './config/reload.ts';
import { rootOptions } from './config/root-options.ts';
import { createGateway, type Gateway, type GatewayAddresses } from './gateway/gateway.ts';
import { matchesPattern } from './oci/name.ts';
import { createEndpoints } from './registry/endpoints.ts';
import { Content } from './store/content.ts';
import { FileBackend } from './store/file-backend.ts';
import { FileClaims } from './store/file-claims.ts';
import { type Layout, openLayout } from './store/layout.ts';
import { Spool } from './store/spool.ts';
import { startTelemetry, type Telemetry } from './telemetry/telemetry.ts';
import { Identity } from './tls/identity.ts';
import { openRoot, type Root } from './tls/root.ts';
import { keepFresh, tlsOptions } from './tls/server-options.ts';
import { toClientError } from './upstream/failure.ts';
import { createNetwork, type Network } from './upstream/network.ts';
import { proxyFromEnvironment } from './upstream/proxy.ts';
import { Upstream } from './upstream/upstream.ts';
import { VIA } from './upstream/via.ts';
import { loadUndici } from './upstream/wire.ts';

/** A running gateway. */
export interface Layover {
  readonly addresses: GatewayAddresses;
  readonly root: Root;
  /** Opens the access log by its name again, after it was rotated. */
  reopenLogs(): void;
  /** Lets what can change without a restart take effect. */
  reload(next: Config): Reload;
  /** Stops accepting, finishes what runs for at most `drain` milliseconds, parks the fills. */
  close(drain: number): Promise<void>;
}

export interface StartOptions {
  /** Tells who may read what until when, in epoch milliseconds. */
  readonly now?: () => number;
  /** Writes no operator's log, whatever the configuration says. */
  readonly silent?: boolean;
}

/** Wires the rooms and opens the doors. Throws, with nothing left open, when a part cannot start. */
export async function startLayover(
  config: Config,
  env: NodeJS.ProcessEnv,
  { now = Date.now, silent = false }: StartOptions = {},
): Promise<Layover> {
  const layout = await openLayout(config.storage.root);
  const root = await openRoot(rootOptions(config));
  const telemetry = startTelemetry({
    level: silent ? 'silent' : config.log.level,
    access: { ...config.log.access, aliases: aliasesOf(config) },
    upstreams: Object.keys(config.upstreams),
  });
  const listening: number[] = [];
  const network = createNetwork({
    servers: config.dns.servers,
    pins: config.dns.pins,
    proxy: proxyFromEnvironment(env),
    isOwnListener: (address, port) => listening.includes(port) && isOwnAddress(address),
  });
  const authorities = await readAuthorities(config);
  const upstreams = await openUpstreams(config, authorities, network);
  let current = config;
  const rooms = furnish(() => current, layout, upstreams, now);
  const identity = await openIdentity(config, now);
  let isReady = false;
  const gateway = openGateway(config, { identity, network, authorities, telemetry, rooms, isReady: () => isReady });
  const close = async (drain: number): Promise<void> => {
    isReady = false;
    identity[Symbol.dispose]();
    await gateway.close(drain);
    await rooms.cache.close();
    for (const upstream of upstreams.values()) await upstream[Symbol.asyncDispose]();
    await telemetry.close();
  };
  try {
    const addresses = await gateway.listen();
    listening.push(...[...addresses.https, ...addresses.http].map(({ port }) => port));
    isReady = true;
    void loadUndici();
    const change = (next: Config): Reload => {
      const outcome = reload(current, next);
      current = outcome.config;
      telemetry.setLevel(current.log.level);
      return outcome;
    };
    return { addresses, root, reopenLogs: () => telemetry.reopen(), reload: change, close };
  } catch (error) {
    await close(0);
    throw error;
  }
}

function aliasesOf({ upstreams }: Config): Map<string, string> {
  return new Map(Object.values(upstreams).map(({ name, alias }) => [name, alias ?? name]));
}

function openIdentity(config: Config, now: () => number): Promise<Identity> {
  const presented = new Set(presentedHosts(config).keys());
  const own = [...config.names, 'localhost'];
  return Identity.open({ ...config.certs, own, presented, now });
}

/** PEM certificates trusted for an upstream beside the system's, by its namespace. */
async function readAuthorities({ upstreams }: Config): Promise<ReadonlyMap<string, string>> {
  const authorities = new Map<string, string>();
  for (const { name, ca } of Object.values(upstreams)) {
    if (ca !== undefined) authorities.set(name, await readFile(ca, 'utf8'));
  }
  return authorities;
}

async function openUpstreams(
  config: Config,
  authorities: ReadonlyMap<string, string>,
  network: Network,
): Promise<Map<string, Upstream>> {
  const upstreams = new Map<string, Upstream>();
  for (const upstream of Object.values(config.upstreams)) {
    const { name, hosts, urls, credentials, tokenHosts, blobHosts } = upstream;
    const ca = authorities.get(name);
    const account = credentials && {
      username: credentials.username,
      password: (await readFile(credentials.passwordFile, 'utf8')).trim(),
    };
    const options = {
      name,
      hosts,
      urls,
      tokenHosts,
      blobHosts,
      ...(ca !== undefined && { ca }),
      ...(account && { credentials: account }),
    };
    upstreams.set(name, new Upstream(options, network));
  }
  return upstreams;
}

interface Rooms {
  readonly access: Access;
  readonly cache: Cache;
  readonly callers: Callers;
  readonly challenges: Challenges;
  readonly tokens: TokenRelay;
}

function furnish(config: () => Config, layout: Layout, upstreams: Map<string, Upstream>, now: () => number): Rooms {
  const upstream = (name: string): Upstream => known(upstreams.get(name), name);
  const settings = (name: string): UpstreamConfig => known(config().upstreams[name], name);
  const content = new Content(new FileBackend(layout.cache), { durable: false });
  const policy = {
    get offline() {
      return config().grants.offline;
    },
    served: ({ upstream: name, name: repository }: { upstream: string; name: string }) =>
      settings(name).credentials?.serve.some((pattern) => matchesPattern(pattern, repository)) ?? false,
    hasCredentials: (name: string) => settings(name).credentials !== undefined,
  };
  const access = new Access(content, policy, upstream, now);
  const offline = new OfflineTokens(derive(layout, 'offline-tokens'), now);
  const callers = new Callers(new Principals(derive(layout, 'principals')), offline, now);
  const membership = new Membership(content, access, upstream);
  const fills = new Fills(content, new Spool(layout.spool), new FileClaims(layout.claims));
  const cache = new Cache(
    { content, access, membership, fills, small: new SmallObjects(), upstream },
    (name) => settings(name).tags,
  );
  const challenges = new Challenges(content, upstream, (name) => settings(name).challenge === 'verbatim');
  return { access, cache, callers, challenges, tokens: new TokenRelay(access, callers, offline, upstream) };
}

interface Doors {
  readonly identity: Identity;
  readonly network: Network;
  readonly authorities: ReadonlyMap<string, string>;
  readonly telemetry: Telemetry;
  readonly rooms: Rooms;
  readonly isReady: () => boolean;
}

function openGateway(config: Config, { identity, network, authorities, telemetry, rooms, isReady }: Doors): Gateway {
  const agents = new Map<string, ReturnType<Network['agent']>>();
  const gateway = createGateway({
    config,
    tls: tlsOptions(identity),
    admin: createAdmin({
      isReady,
      warnings: () => identity.warnings,
      metrics: () => telemetry.metricsText(),
      metricsType: telemetry.contentType,
    }),
    endpoints: createEndpoints({ ...rooms, toClientError }),
    identify: (authorization, upstream) => rooms.callers.identify(authorization, upstream),
    rootCertificates: () => identity.rootCertificates,
    via: VIA.split(' ')[1] ?? VIA,
    agent: (upstream, base) => {
      const key = `${upstream} ${base.origin}`;
      const agent =
        agents.get(key) ?? network.agent({ secure: base.protocol === 'https:', ca: authorities.get(upstream) });
      agents.set(key, agent);
      return agent;
    },
    rewriteChallenges: (upstream, origin, lines) => [rooms.challenges.rewrite(upstream, origin, lines) ?? []].flat(),
    onWrite: (repository, reference) => rooms.cache.forget(repository, reference),
  });
  for (const server of gateway.tlsServers) keepFresh(server, identity);
  return gateway;
}

function derive({ grantsKey }: Layout, purpose: string): Uint8Array {
  return new Uint8Array(hkdfSync('sha256', grantsKey, '', purpose, 32));
}

function known<Value>(value: Value | undefined, name: string): Value {
  if (value === undefined) throw new Error(`no upstream is called ${name}`);
  return value;
}

function isOwnAddress(address: string): boolean {
  if (address.startsWith('127.') || address === '::1' || address === '0.0.0.0' || address === '::') return true;
  return Object.values(networkInterfaces()).some((addresses) => addresses?.some((own) => own.address === address));
}
