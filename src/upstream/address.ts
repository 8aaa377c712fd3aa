import { BlockList, isIP } from 'node:net';

/** Networks that are not the public internet (RFC 6890 and its registries). */
const PRIVATE_IPV4: readonly (readonly [string, number])[] = [
  ['0.0.0.0', 8],
  ['10.0.0.0', 8],
  ['100.64.0.0', 10],
  ['127.0.0.0', 8],
  ['169.254.0.0', 16],
  ['172.16.0.0', 12],
  ['192.0.0.0', 24],
  ['192.0.2.0', 24],
  ['192.88.99.0', 24],
  ['192.168.0.0', 16],
  ['198.18.0.0', 15],
  ['198.51.100.0', 24],
  ['203.0.113.0', 24],
  ['224.0.0.0', 4],
  ['240.0.0.0', 4],
];
const PRIVATE_IPV6: readonly (readonly [string, number])[] = [
  ['::', 96],
  ['64:ff9b:1::', 48],
  ['100::', 64],
  ['2001::', 23],
  ['2001:db8::', 32],
  ['2002::', 16],
  ['3fff::', 20],
  ['fc00::', 7],
  ['fe80::', 10],
  ['fec0::', 10],
  ['ff00::', 8],
];

const privateNetworks = new BlockList();
for (const [network, prefix] of PRIVATE_IPV4) {
  privateNetworks.addSubnet(network, prefix, 'ipv4');
  // The same addresses behind NAT64 (RFC 6052); IPv4-mapped ones are matched by the list itself.
  privateNetworks.addSubnet(`64:ff9b::${network}`, 96 + prefix, 'ipv6');
}
for (const [network, prefix] of PRIVATE_IPV6) privateNetworks.addSubnet(network, prefix, 'ipv6');

/** Whether an IP address lies outside the public internet: loopback, link-local, private, reserved. */
export function isPrivateAddress(address: string): boolean {
  const family = isIP(address);
  return family === 0 || privateNetworks.check(address, family === 6 ? 'ipv6' : 'ipv4');
}

/** The host of a URL as `node:net` wants it: no brackets around IPv6. */
export function hostOf(url: URL): string {
  return url.hostname.replace(/^\[(.*)\]$/, '$1');
}

/** The port of a URL, the scheme's own when none is written. */
export function portOf(url: URL): number {
  if (url.port !== '') return Number(url.port);
  return url.protocol === 'https:' ? 443 : 80;
}

const LABEL = '[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?';
const HOST_NAME = new RegExp(`^(?=.{1,253}$)${LABEL}(?:\\.${LABEL})*$`, 'i');

/** Whether `host` is a name of ASCII letters, digits and hyphens (RFC 1123 §2.1) and not a number in disguise. */
export function isHostName(host: string): boolean {
  return HOST_NAME.test(host) && !/(?:^|\.)(?:\d+|0x[0-9a-f]*)$/i.test(host);
}
