import type { X509Certificate } from 'node:crypto';
import { networkInterfaces } from 'node:os';
import type { Config } from '../config/config.ts';
import { authorityOf } from '../doctor/authority.ts';
import { isContainer, judgeBootstrap } from '../doctor/bootstrap.ts';
import { judgeClock } from '../doctor/clock.ts';
import { type Check, type Finding, ok, warning } from '../doctor/finding.ts';
import { judgeReadiness } from '../doctor/gateway.ts';
import { judgeNames, judgeOwnNames, type RegistryName } from '../doctor/names.ts';
import { hasIpv6, probeName, probeNames, systemLookup } from '../doctor/names-probe.ts';
import { judgePorts, type PortFacts } from '../doctor/ports.ts';
import { probePorts, reachable } from '../doctor/ports-probe.ts';
import { probeReadiness } from '../doctor/readiness-probe.ts';
import { introduce, rootsIn } from '../doctor/roots.ts';
import { judgeStorage } from '../doctor/storage.ts';
import { probeStorage } from '../doctor/storage-probe.ts';
import { judgeTrust } from '../doctor/trust.ts';
import { probeMirrors } from '../doctor/trust-places.ts';
import { probeTrust, spanOf } from '../doctor/trust-probe.ts';
import { judgeUpstreams, type UpstreamFacts } from '../doctor/upstreams.ts';
import { isOwnAddress } from '../main/own-address.ts';
import { daemons } from './doctor-daemons.ts';
import { warningsOf } from './warnings.ts';

/** What is known of the machine, as far as it has come. */
interface Seen {
  readonly config: Config;
  readonly root: string;
  readonly roots: Promise<readonly X509Certificate[]>;
  readonly ports: Promise<readonly PortFacts[]>;
  readonly names: Promise<readonly RegistryName[]>;
  readonly mirrors: Promise<readonly string[]>;
  readonly upstreams: Promise<readonly UpstreamFacts[]>;
}

/** What is looked at where the gateway runs or is to run; `ask` asks its upstreams, given its own roots. */
export function gatewayChecks(
  config: Config,
  root: string,
  ask: (roots: readonly X509Certificate[]) => Promise<readonly UpstreamFacts[]>,
): readonly Check[] {
  const roots = ownRoots(config);
  const seen: Seen = {
    config,
    root,
    roots,
    ports: roots.then((known) => probePorts(config, known)),
    names: probeNames(config, systemLookup, isOwnAddress),
    mirrors: probeMirrors(root, ownAuthorities(config)),
    upstreams: roots.then(ask),
  };
  return [
    { name: 'configuration', find: () => configuration(seen) },
    { name: 'names', find: () => lead(seen) },
    { name: 'ports', find: async () => judgePorts(await seen.ports) },
    { name: 'gateway', find: () => readiness(seen) },
    { name: 'trust', find: () => trust(seen) },
    { name: 'clients', find: () => clients(seen) },
    { name: 'clock', find: () => clock(seen) },
    { name: 'storage', find: () => storage(seen) },
    { name: 'upstreams', find: async () => judgeUpstreams(await seen.upstreams) },
    { name: 'container', find: () => bootstrap(seen) },
  ];
}

/** What `check` says; the disk is looked at more closely here. */
async function configuration({ config }: Seen): Promise<readonly Finding[]> {
  const doubts = (await warningsOf(config, process.env)).filter(({ key }) => key !== 'storage.root');
  if (doubts.length === 0) return [ok('the configuration is right')];
  return doubts.map(({ key, message }) =>
    warning(
      `${key}: ${message}`,
      'the configuration says what is hardly meant',
      `see "${key}" in docs/configuration.md`,
    ),
  );
}

async function lead({ config, names, mirrors }: Seen): Promise<readonly Finding[]> {
  const own = Promise.all(config.names.map((name) => probeName(name, systemLookup, isOwnAddress)));
  const registries = judgeNames({ hasIpv6: hasIpv6(), names: await names, mirrors: await mirrors });
  return [...registries, ...judgeOwnNames(await own)];
}

async function readiness({ config }: Seen): Promise<readonly Finding[]> {
  const [{ host, port }] = config.listen.admin;
  if (port === 0) return [ok('the port of listen.admin is chosen at each start: what runs is not asked')];
  return judgeReadiness(await probeReadiness(authorityOf(reachable(host), port)));
}

async function trust({ config, root, roots, ports, names }: Seen): Promise<readonly Finding[]> {
  return judgeTrust(await probeTrust(root, await roots, await names, tlsListener(config, await ports)));
}

function tlsListener({ listen }: Config, ports: readonly PortFacts[]): Parameters<typeof probeTrust>[3] {
  // What stands in front shows the certificates.
  if (listen.proxies.length > 0) return { address: '127.0.0.1', port: 443 };
  const [{ host, port, fallbackPort }] = listen.https;
  if (port === 0) return undefined;
  const isThere = ports.some(
    (facts) => facts.key === 'listen.https' && facts.port === port && facts.answers === 'gateway',
  );
  return { address: reachable(host), port: isThere ? port : (fallbackPort ?? port) };
}

async function clients({ root, roots, names, mirrors }: Seen): Promise<readonly Finding[]> {
  return daemons(root, await roots, await names, await mirrors);
}

async function clock({ roots, upstreams }: Seen): Promise<readonly Finding[]> {
  const ahead = (await upstreams).flatMap(({ name, answer }) =>
    'ahead' in answer && answer.ahead !== undefined ? [{ of: name, milliseconds: answer.ahead }] : [],
  );
  return judgeClock({ now: Date.now(), ahead, roots: (await roots).map(spanOf) });
}

async function storage({ config, ports }: Seen): Promise<readonly Finding[]> {
  const gateway = (await ports).find(({ answers, holder }) => answers === 'gateway' && holder !== undefined);
  return judgeStorage(await probeStorage(config, gateway?.holder?.pid));
}

async function bootstrap({ root, ports, names, mirrors }: Seen): Promise<readonly Finding[]> {
  const holders = (await ports).flatMap(({ holder }) => holder ?? []);
  const led = (await names).filter(({ here }) => here.length > 0).map(({ name }) => name);
  return judgeBootstrap({ inContainer: isContainer(root, holders), led, mirrors: await mirrors });
}

/** From the directory or, where only another user may read it, from the gateway that runs. */
async function ownRoots({ certs, listen }: Config): Promise<readonly X509Certificate[]> {
  const roots = await rootsIn(certs.dir);
  const [{ host, port }] = listen.http;
  if (roots.length > 0 || port === 0) return roots;
  return (await introduce(`http://${authorityOf(reachable(host), port)}`)).roots;
}

/** How clients of this machine may name the gateway. */
function ownAuthorities({ listen, names }: Config): readonly string[] {
  const addresses = Object.values(networkInterfaces()).flatMap((own) => own?.map(({ address }) => address) ?? []);
  const [{ port }] = listen.http;
  return [...new Set([...names, 'localhost', ...addresses])].map((host) => authorityOf(host, port));
}
