import type { Config } from '../config/config.ts';
import { authorityOf } from '../doctor/authority.ts';
import { judgeClock } from '../doctor/clock.ts';
import type { Check, Finding } from '../doctor/finding.ts';
import { judgeReach } from '../doctor/gateway.ts';
import { judgeNames, type RegistryName } from '../doctor/names.ts';
import { hasIpv6, probeNames, systemLookup } from '../doctor/names-probe.ts';
import { type Introduction, introduce } from '../doctor/roots.ts';
import { judgeTrust } from '../doctor/trust.ts';
import { probeMirrors } from '../doctor/trust-places.ts';
import { probeTrust, spanOf } from '../doctor/trust-probe.ts';
import { daemons } from './doctor-daemons.ts';

/** Where a client finds the plain listener. */
export interface Gateway {
  /** As somebody wrote it. */
  readonly typed: string;
  /** A name or an IP address without brackets. */
  readonly host: string;
  /** That of the configuration when absent. */
  readonly port?: number;
}

/** What is known of the gateway, as far as it has come. */
interface Seen {
  readonly typed: string;
  /** `host:port`. */
  readonly gateway: string;
  readonly root: string;
  readonly introduction: Promise<Introduction>;
  readonly addresses: Promise<readonly string[]>;
  readonly names: Promise<readonly RegistryName[]>;
  /** Files that name the gateway as a mirror. */
  readonly mirrors: Promise<readonly string[]>;
}

/** Where `listen.http` is unless it is written. */
const PORT = 5000;
/** Clients ask registries there and nowhere else. */
const TLS_PORT = 443;

/** What is looked at on a machine that pulls. */
export function clientChecks(config: Config, { typed, host, port: named }: Gateway, root: string): readonly Check[] {
  const port = named ?? (config.listen.http[0].port || PORT);
  const gateway = authorityOf(host, port);
  const addresses = systemLookup(host);
  const names = addresses.then((own) => probeNames(config, systemLookup, (address) => own.includes(address)));
  const mirrors = addresses.then((own) => probeMirrors(root, [gateway, ...own.map((one) => authorityOf(one, port))]));
  const introduction = introduce(`http://${gateway}`);
  const seen: Seen = { typed, gateway, root, introduction, addresses, names, mirrors };
  return [
    { name: 'gateway', find: () => reach(seen) },
    { name: 'names', find: () => lead(seen) },
    { name: 'trust', find: () => trust(seen) },
    { name: 'clients', find: () => clients(seen) },
    { name: 'clock', find: () => clock(seen) },
  ];
}

async function reach({ gateway, introduction }: Seen): Promise<readonly Finding[]> {
  const { roots, error } = await introduction;
  const fingerprint = roots[0]?.fingerprint256;
  return judgeReach({
    gateway,
    ...(fingerprint !== undefined && { fingerprint }),
    ...(error !== undefined && { error }),
  });
}

async function lead({ typed, addresses, names, mirrors }: Seen): Promise<readonly Finding[]> {
  const gateway = { typed, addresses: await addresses };
  return judgeNames({ gateway, hasIpv6: hasIpv6(), names: await names, mirrors: await mirrors });
}

async function trust({ gateway, root, introduction, addresses, names }: Seen): Promise<readonly Finding[]> {
  const { roots } = await introduction;
  const [address] = await addresses;
  const listener = address === undefined ? undefined : { address, port: TLS_PORT };
  return judgeTrust({ gateway, ...(await probeTrust(root, roots, await names, listener)) });
}

async function clients({ root, introduction, names, mirrors }: Seen): Promise<readonly Finding[]> {
  return daemons(root, (await introduction).roots, await names, await mirrors);
}

async function clock({ gateway, introduction }: Seen): Promise<readonly Finding[]> {
  const { roots, ahead } = await introduction;
  const skews = ahead === undefined ? [] : [{ of: gateway, milliseconds: ahead }];
  return judgeClock({ now: Date.now(), ahead: skews, roots: roots.map(spanOf) });
}
