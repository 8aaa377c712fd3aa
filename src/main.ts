import { watchDisk } from './admin/disk.ts';
import type { Config } from './config/config.ts';
import { presentedHosts } from './config/lookup.ts';
import { type Reload, reload } from './config/reload.ts';
import { rootOptions } from './config/root-options.ts';
import type { Crew } from './fleet/crew.ts';
import { withDescriptors } from './fleet/plan.ts';
import type { GatewayAddresses } from './gateway/gateway.ts';
import { CrewMetrics } from './main/crew-metrics.ts';
import { openGateway } from './main/doors.ts';
import { isOwnAddress } from './main/own-address.ts';
import { furnish } from './main/rooms.ts';
import { readFiles, Upstreams } from './main/upstreams.ts';
import { openUsers } from './main/users.ts';
import type { Fetches } from './pages/fetches.ts';
import { openLayout } from './store/layout.ts';
import { startTelemetry, type Telemetry } from './telemetry/telemetry.ts';
import { Identity } from './tls/identity.ts';
import { openRoot, type Root } from './tls/root.ts';
import { createNetwork, type Network } from './upstream/network.ts';
import { proxyFromEnvironment } from './upstream/proxy.ts';
import { loadUndici } from './upstream/wire.ts';

/** A running gateway. */
export interface Layover {
  readonly addresses: GatewayAddresses;
  readonly root: Root;
  /** Opens the access log by its name again, after it was rotated. */
  reopenLogs(): void;
  /** Lets what can change without a restart take effect, and reads the files again that upstreams name. */
  reload(next: Config): Promise<Reload>;
  /** Stops accepting, finishes what runs for at most `drain` milliseconds, parks the fills; once, however often called. */
  close(drain: number): Promise<void>;
}

export interface StartOptions {
  /** Tells who may read what until when, in epoch milliseconds. */
  readonly now?: () => number;
  /** Writes no operator's log, whatever the configuration says. */
  readonly silent?: boolean;
  /** Where this is one of several processes. */
  readonly member?: Member;
}

/** What one of several processes has of the others. */
export interface Member {
  readonly crew: Crew;
  /** Sockets that are bound for all of them, in the order of https, http and admin. */
  readonly descriptors: readonly number[];
  /** Is called when another process has taken this one's place. */
  readonly replaced: () => void;
}

/** Wires the rooms and opens the doors. Throws, with nothing left open, when a part cannot start. */
export async function startLayover(
  config: Config,
  env: NodeJS.ProcessEnv,
  { now = Date.now, silent = false, member }: StartOptions = {},
): Promise<Layover> {
  const layout = await openLayout(config.storage.root);
  const users = await openUsers(config, layout, now);
  const root = await openRoot(rootOptions(config));
  const listening: number[] = [];
  const network = openNetwork(config, env, listening);
  const upstreams = new Upstreams(config, await readFiles(Object.values(config.upstreams)), network);
  const telemetry = openTelemetry(config, upstreams, silent, member !== undefined);
  let current = config;
  const disk = watchDisk();
  const rooms = furnish(() => current, layout, upstreams, now);
  const identity = await openIdentity(config, now);
  let isReady = false;
  const listen = member === undefined ? config.listen : withDescriptors(config.listen, member.descriptors);
  const metrics = member && new CrewMetrics(telemetry, member.crew);
  const doors = { identity, upstreams, telemetry, rooms, disk, crew: member?.crew, metrics, isReady: () => isReady };
  const gateway = openGateway({ ...config, listen }, { ...doors, users });
  const close = once(async (drain) => {
    isReady = false;
    identity[Symbol.dispose]();
    await gateway.close(drain);
    rooms.hosted[Symbol.dispose]();
    users?.users[Symbol.dispose]();
    await rooms.cache.close();
    await rooms.upkeep[Symbol.asyncDispose]();
    await rooms.space[Symbol.asyncDispose]();
    disk[Symbol.dispose]();
    rooms.fetches[Symbol.dispose]();
    await upstreams[Symbol.asyncDispose]();
    await metrics?.bequeath();
    member?.crew[Symbol.dispose]();
    await telemetry.close();
  });
  try {
    const [addresses] = await Promise.all([gateway.listen(), rooms.space.refresh()]);
    listening.push(...[...addresses.https, ...addresses.http].map(({ port }) => port));
    isReady = true;
    if (member && metrics) await join(member, metrics, rooms.fetches, () => isReady);
    rooms.upkeep.start();
    void loadUndici();
    const change = async (next: Config): Promise<Reload> => {
      const outcome = reload(current, next);
      // The files of an upstream that was taken away may be gone before it is.
      const named = Object.values(outcome.config.upstreams).filter(({ name }) => next.upstreams[name] !== undefined);
      const read = await readFiles(named);
      await users?.users.reload();
      const files = upstreams.use(outcome.config, read);
      current = outcome.config;
      telemetry.setLevel(current.log.level);
      identity.present(new Set(presentedHosts(current).keys()));
      gateway.reroute(current);
      return { ...outcome, applied: [...outcome.applied, ...files] };
    };
    return { addresses, root, reopenLogs: () => telemetry.reopen(), reload: change, close };
  } catch (error) {
    await close(0);
    throw error;
  }
}

function once(close: (drain: number) => Promise<void>): (drain: number) => Promise<void> {
  let closing: Promise<void> | undefined;
  return (drain) => {
    closing ??= close(drain);
    return closing;
  };
}

function openNetwork({ dns }: Config, env: NodeJS.ProcessEnv, listening: readonly number[]): Network {
  return createNetwork({
    servers: dns.servers,
    pins: dns.pins,
    proxy: proxyFromEnvironment(env),
    isOwnListener: (address, port) => listening.includes(port) && isOwnAddress(address),
  });
}

function openTelemetry(config: Config, upstreams: Upstreams, silent: boolean, isShared: boolean): Telemetry {
  return startTelemetry({
    level: silent ? 'silent' : config.log.level,
    access: { ...config.log.access, aliases: aliasesOf(config), isShared },
    upstreams: Object.keys(config.upstreams),
    keyOf: (upstream) => upstreams.keyOf(upstream),
  });
}

/** From here on other processes are answered. */
async function join(
  { crew, replaced }: Member,
  metrics: CrewMetrics,
  fetches: Fetches,
  isReady: () => boolean,
): Promise<void> {
  await crew.join({
    metrics: () => metrics.tell(),
    fetches: () => JSON.stringify(fetches.running()),
    inherit: (left) => metrics.inherit(left),
    isReady,
    drain: replaced,
  });
}

function aliasesOf({ upstreams }: Config): Map<string, string> {
  return new Map(Object.values(upstreams).map(({ name, alias }) => [name, alias ?? name]));
}

function openIdentity(config: Config, now: () => number): Promise<Identity> {
  const presented = new Set(presentedHosts(config).keys());
  const own = [...config.names, 'localhost'];
  return Identity.open({ ...config.certs, own, presented, now });
}
