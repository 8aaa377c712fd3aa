import { BlockList, isIPv6 } from 'node:net';

/** Tells whether a client of an address may connect, by networks in CIDR; IPv4 may come mapped into IPv6. */
export function admission(allow: readonly string[] | undefined): (client: string | undefined) => boolean {
  if (allow === undefined) return () => true;
  const networks = new BlockList();
  for (const network of allow) {
    const [address = '', prefix] = network.split('/');
    networks.addSubnet(address, Number(prefix), familyOf(address));
  }
  return (client) => client !== undefined && networks.check(client.replace(/%.*$/, ''), familyOf(client));
}

function familyOf(address: string): 'ipv4' | 'ipv6' {
  return isIPv6(address) ? 'ipv6' : 'ipv4';
}
