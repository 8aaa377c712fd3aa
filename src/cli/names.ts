import { randomUUID } from 'node:crypto';
import { rename, writeFile } from 'node:fs/promises';
import type { Config } from '../config/config.ts';
import { ConfigError } from '../config/error.ts';
import { parseHost, parseIp } from '../config/grammar.ts';
import { isWildcard, presentedHosts } from '../config/lookup.ts';

export interface NamesOptions {
  /** IP addresses with commas between. */
  readonly address?: string | undefined;
  readonly format?: string | undefined;
  /** Where to write instead of to standard output. */
  readonly out?: string | undefined;
}

/** What is to lead to the gateway: host names and wildcards for one more label, and the addresses they lead to. */
export interface Names {
  /** One list for each upstream, and one for the gateway's own. */
  readonly groups: readonly (readonly string[])[];
  readonly wildcards: readonly string[];
  readonly addresses: readonly string[];
  /** Name servers that know where the names lead really. */
  readonly servers: readonly string[];
}

/** Seconds: as long as clients go on after the name server was taken away. */
const TTL = 60;

/** How the names are written, by what `--format` says. */
export const FORMATS: ReadonlyMap<string, (names: Names) => string> = new Map([
  ['names', ({ groups, wildcards }) => lines([...groups.flat(), ...wildcards])],
  ['hosts', hostsFile],
  ['dnsmasq', dnsmasq],
  ['corefile', corefile],
]);

/** Prints the names that clients have to find the gateway by, in the form that some name server reads. */
export async function showNames(
  config: Config,
  { address = '', format = 'names', out }: NamesOptions,
): Promise<string> {
  const render = FORMATS.get(format);
  if (render === undefined) throw new ConfigError([`--format: expected one of ${[...FORMATS.keys()].join(', ')}`]);
  const text = render(namesOf(config, addressesOf(address, format !== 'names')));
  if (out === undefined) return text;
  const temporary = `${out}.${randomUUID()}`;
  await writeFile(temporary, text, { flag: 'wx' });
  await rename(temporary, out);
  return '';
}

/** Names that stand in a configuration twice are told once. */
export function namesOf(config: Pick<Config, 'upstreams' | 'names' | 'dns'>, addresses: readonly string[]): Names {
  const presented = [...presentedHosts(config)];
  const groups = new Map<string, string[]>();
  for (const [host, { upstream }] of presented) {
    if (!isWildcard(host)) groups.set(upstream.name, [...(groups.get(upstream.name) ?? []), host]);
  }
  const own = config.names.filter((name) => parseHost(name) !== undefined);
  return {
    groups: [...groups.values(), ...(own.length === 0 ? [] : [own])],
    wildcards: presented.map(([host]) => host).filter(isWildcard),
    addresses,
    servers: config.dns.servers,
  };
}

/** Lines of a hosts file. Throws a {@link ConfigError} for wildcards, which it has no form for. */
export function hostsFile(names: Names): string {
  refuseWildcards('hosts', names);
  return lines(hostsLines(names));
}

/**
 * Lines of dnsmasq's configuration, from version 2.86 on: a name has these addresses and nothing else is asked about it,
 * those below it are asked as ever. Throws a {@link ConfigError} for wildcards.
 */
export function dnsmasq(names: Names): string {
  refuseWildcards('dnsmasq', names);
  const { groups, addresses } = names;
  return lines(
    groups
      .flat()
      .flatMap((name) => [`host-record=${name},${addresses.join(',')}`, `local=/${name}/`, `server=/*.${name}/#`]),
  );
}

function refuseWildcards(format: string, { wildcards }: Names): void {
  if (wildcards.length === 0) return;
  throw new ConfigError([`--format ${format}: it cannot say ${wildcards.join(', ')}; take --format corefile`]);
}

/**
 * A whole configuration of CoreDNS: the names lead to the addresses, have nothing but addresses, and none of the other
 * family; every other name, those below them included, is asked of the name servers of `dns.servers`.
 */
export function corefile(names: Names): string {
  const { wildcards, addresses, servers } = names;
  if (servers.length === 0)
    throw new ConfigError([
      'dns.servers: expected the name servers that every other name is asked of (LAYOVER_DNS_SERVERS=192.0.2.1), since those of the system may be the one that is set up here',
    ]);
  return lines([
    '# Made by: layover names --format corefile',
    '. {',
    '    errors',
    '    loop',
    '    reload',
    '    cache',
    ...wildcards.flatMap((wildcard) => templates(wildcard, addresses)).map(indent),
    '    hosts /dev/null {',
    ...hostsLines(names).map(indent).map(indent),
    `        ttl ${TTL}`,
    '        no_reverse',
    '        fallthrough',
    '    }',
    `    forward . ${servers.join(' ')}`,
    '}',
  ]);
}

/** One more label than the wildcard's parent leads to the addresses of a family; what else is asked of it has no answer. */
function templates(wildcard: string, addresses: readonly string[]): readonly string[] {
  const parent = wildcard.slice(2);
  const match = `    match ^[^.]+\\.${parent.replaceAll('.', '\\.')}\\.$`;
  const answers = ['A', 'AAAA'].flatMap((type) => {
    const own = addresses.filter((address) => familyOf(address) === type);
    if (own.length === 0) return [];
    const records = own.map((address) => `    answer "{{ .Name }} ${TTL} IN ${type} ${address}"`);
    return [`template IN ${type} ${parent} {`, match, ...records, '    fallthrough', '}'];
  });
  return [...answers, `template IN ANY ${parent} {`, match, '    rcode NOERROR', '    fallthrough', '}'];
}

function familyOf(address: string): 'A' | 'AAAA' {
  return address.includes(':') ? 'AAAA' : 'A';
}

function hostsLines({ groups, addresses }: Names): readonly string[] {
  return addresses.flatMap((address) => groups.map((group) => `${address} ${group.join(' ')}`));
}

function addressesOf(text: string, isNeeded: boolean): readonly string[] {
  const items = text.split(',').map((item) => item.trim());
  const addresses = items.flatMap((item) => parseIp(item) ?? []);
  if (addresses.length === items.length || (text === '' && !isNeeded)) return addresses;
  throw new ConfigError([
    `--address: expected the IP address by which clients reach the gateway, such as 192.0.2.10 or 192.0.2.10,2001:db8::10, got ${JSON.stringify(text)}`,
  ]);
}

function indent(line: string): string {
  return `    ${line}`;
}

function lines(all: readonly string[]): string {
  return all.map((line) => `${line}\n`).join('');
}
