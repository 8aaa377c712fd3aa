import { lookup } from 'node:dns/promises';
import { isIP } from 'node:net';
import { networkInterfaces } from 'node:os';
import type { Config } from '../config/config.ts';
import { isWildcard, presentedHosts } from '../config/lookup.ts';
import { bounded } from './bounded.ts';
import type { NameFacts, RegistryName } from './names.ts';

/** Every address of a name, as the programs of a machine find it; none when there is none. */
export type Lookup = (name: string) => Promise<readonly string[]>;

/** By the hosts file, the name servers and whatever else this machine is told to ask. */
export const systemLookup: Lookup = async (name) => {
  if (isIP(name) !== 0) return [name];
  const found = await bounded(lookup(name, { all: true }), []);
  return [...new Set(found.map(({ address }) => address))];
};

/** Where every presented name leads; wildcards stand for names that nobody knows. */
export async function probeNames(
  config: Pick<Config, 'upstreams'>,
  lookUp: Lookup,
  isGateway: (address: string) => boolean,
): Promise<readonly RegistryName[]> {
  const presented = [...presentedHosts(config)].filter(([host]) => !isWildcard(host));
  return Promise.all(
    presented.map(async ([name, { upstream }]) => ({
      ...(await probeName(name, lookUp, isGateway)),
      registry: upstream.name,
    })),
  );
}

export async function probeName(
  name: string,
  lookUp: Lookup,
  isGateway: (address: string) => boolean,
): Promise<NameFacts> {
  const addresses = await lookUp(name);
  const here = addresses.filter(isGateway);
  return { name, here, elsewhere: addresses.filter((address) => !here.includes(address)) };
}

/** Whether an interface of this machine has an IPv6 address that others can reach. */
export function hasIpv6(): boolean {
  return Object.values(networkInterfaces()).some((addresses) =>
    addresses?.some(({ address, internal }) => !internal && address.includes(':') && !/^fe[89ab]/i.test(address)),
  );
}
