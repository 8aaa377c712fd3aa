import { addressBytes, addressText } from './address.ts';
import { content, type Der, isTagged, member, members, sequence, tagged } from './der.ts';
import { serverName } from './server-name.ts';

/** What a root vouches for: these DNS names and the names below them, and these addresses. */
export interface Permitted {
  readonly dns: readonly string[];
  /** `192.0.2.1` or `2001:db8::1`; with `/mask` when a root that was made elsewhere covers more than one address. */
  readonly ips: readonly string[];
}

// GeneralName tags of RFC 5280 section 4.2.1.6.
const dnsName = 2;
const ipAddress = 7;

// GeneralSubtrees tags of RFC 5280 section 4.2.1.10.
const permittedSubtrees = 0;
const excludedSubtrees = 1;

/**
 * The NameConstraints of RFC 5280 section 4.2.1.10 that permit these names and nothing else. A list permits every name
 * of a kind it does not mention, so at least one DNS name is needed, and an address family without a permitted address
 * is excluded as a whole.
 */
export function nameConstraints(permitted: Permitted): Der {
  if (permitted.dns.length === 0) throw new Error('a root CA needs at least one DNS name to vouch for');
  const addresses = permitted.ips.map(requireAddress);
  const subtrees = [
    ...permitted.dns.map((name) => subtree(dnsName, Buffer.from(requireName(name), 'ascii'))),
    ...addresses.map((address) => subtree(ipAddress, Buffer.concat([address, Buffer.alloc(address.length, 0xff)]))),
  ];
  const unlisted = [4, 16].filter((length) => !addresses.some((address) => address.length === length));
  const excluded = unlisted.map((length) => subtree(ipAddress, Buffer.alloc(2 * length)));
  return sequence(
    tagged(permittedSubtrees, subtrees),
    ...(excluded.length === 0 ? [] : [tagged(excludedSubtrees, excluded)]),
  );
}

/** What the constraints permit. */
export function readConstraints(constraints: Der): Permitted {
  const list = members(constraints).find((node) => isTagged(node, permittedSubtrees));
  const bases = list === undefined ? [] : members(list).map((entry) => member(entry, 0));
  return {
    dns: bases.filter((base) => isTagged(base, dnsName)).map((base) => content(base).toString('ascii').toLowerCase()),
    ips: bases.filter((base) => isTagged(base, ipAddress)).map((base) => networkText(content(base))),
  };
}

/** Whether a certificate for this host name or IP address, under these constraints, is accepted. */
export function isPermitted(permitted: Permitted, hostOrIp: string): boolean {
  const address = addressBytes(hostOrIp);
  if (address !== undefined) return permitted.ips.some((network) => contains(network, address));
  const name = hostOrIp.toLowerCase();
  return permitted.dns.some((base) => name === base || name.endsWith(`.${base}`));
}

function subtree(tag: number, base: Buffer): Der {
  return sequence(tagged(tag, base));
}

// A slip here would last for ten years: an empty name, for one, permits every name there is.
function requireName(text: string): string {
  const name = serverName(text);
  if (name === undefined || addressBytes(name) !== undefined)
    throw new Error(`not a host name: ${JSON.stringify(text)}`);
  return name;
}

function requireAddress(text: string): Buffer {
  const bytes = addressBytes(text);
  if (bytes === undefined) throw new Error(`not an IP address: ${JSON.stringify(text)}`);
  return bytes;
}

function networkText(base: Buffer): string {
  const half = base.length / 2;
  const mask = base.subarray(half);
  const address = addressText(base.subarray(0, half));
  return mask.every((byte) => byte === 0xff) ? address : `${address}/${addressText(mask)}`;
}

function contains(network: string, address: Buffer): boolean {
  const [base = '', mask] = network.split('/');
  const first = addressBytes(base);
  if (first?.length !== address.length) return false;
  const bits = mask === undefined ? undefined : addressBytes(mask);
  return address.every((byte, index) => ((byte ^ (first[index] ?? 0)) & (bits?.[index] ?? 0xff)) === 0);
}
