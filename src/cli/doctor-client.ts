import { isIP } from 'node:net';
import type { Config } from '../config/config.ts';
import { judgeClock } from '../doctor/clock.ts';
import type { Check, Finding } from '../doctor/finding.ts';
import { judgeReach } from '../doctor/gateway.ts';
import { judgeNames, type RegistryName } from '../doctor/names.ts';
import { hasIpv6, probeNames, systemLookup } from '../doctor/names-probe.ts';
import { type Introduction, introduce } from '../doctor/roots.ts';
import { judgeTrust } from '../doctor/trust.ts';
import { probeMirrors } from '../doctor/trust-places.ts';
import { probeTrust, spanOf } from '../doctor/trust-probe.ts';

/** Where a client finds the plain listener. */
export interface Gateway {
  /** As somebody wrote it. */
  readonly typed: string;
  /** A name or an IP address without brackets. */
  readonly host: string;
  readonly port: number;
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
}

/** Clients ask registries there and nowhere else. */
const TLS_PORT = 443;

/** What is looked at on a machine that pulls. */
export function clientChecks(config: Config, { typed, host, port }: Gateway, root: string): readonly Check[] {
  const gateway = isIP(host) === 6 ? `[${host}]:${port}` : `${host}:${port}`;
  const addresses = systemLookup(host);
  const names = addresses.then((own) => probeNames(config, systemLookup, (address) => own.includes(address)));
  const seen: Seen = { typed, gateway, root, introduction: introduce(`http://${gateway}`), addresses, names };
  return [
    { name: 'gateway', find: () => reach(seen) },
    { name: 'names', find: () => lead(seen, port) },
    { name: 'trust', find: () => trust(seen) },
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

async function lead({ typed, gateway, root, addresses, names }: Seen, port: number): Promise<readonly Finding[]> {
  const found = await addresses;
  const spellings = [gateway, ...found.map((address) => `${address}:${port}`)];
  return judgeNames({
    gateway: { typed, addresses: found },
    hasIpv6: hasIpv6(),
    names: await names,
    mirrors: await probeMirrors(root, spellings),
  });
}

async function trust({ gateway, root, introduction, addresses, names }: Seen): Promise<readonly Finding[]> {
  const { roots } = await introduction;
  const [address] = await addresses;
  const listener = address === undefined ? undefined : { address, port: TLS_PORT };
  return judgeTrust({ gateway, ...(await probeTrust(root, roots, await names, listener)) });
}

async function clock({ gateway, introduction }: Seen): Promise<readonly Finding[]> {
  const { roots, ahead } = await introduction;
  const skews = ahead === undefined ? [] : [{ of: gateway, milliseconds: ahead }];
  return judgeClock({ now: Date.now(), ahead: skews, roots: roots.map(spanOf) });
}
