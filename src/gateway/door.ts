import { isIP } from 'node:net';
import type { Config, UpstreamConfig } from '../config/config.ts';
import { type Lookup, openLookup, type PresentedHost } from '../config/lookup.ts';
import { RegistryError } from '../oci/error.ts';

/** The part of the configuration that decides where a request goes, indexed by what requests spell. */
export interface RouteTable extends Lookup {
  /** Our own host names and addresses, lower case. */
  readonly names: ReadonlySet<string>;
  /** Patterns of the repositories that are ours. */
  readonly hosted: readonly string[];
  /** What our own names mean when nothing else is said. */
  readonly fallback?: UpstreamConfig | undefined;
  /** The paths of our own pages. */
  readonly pages: Pick<ReadonlySet<string>, 'has'>;
}

export type RoutedConfig = Pick<Config, 'upstreams' | 'names' | 'hosted' | 'mirror'>;

export function routeTable(config: RoutedConfig, pages: RouteTable['pages']): RouteTable {
  const lookup = openLookup(config);
  const names = new Set(['localhost', ...config.names.map((name) => name.toLowerCase())]);
  const fallback = config.mirror.default === undefined ? undefined : lookup.upstream(config.mirror.default);
  return { ...lookup, names, hosted: config.hosted.repositories, fallback, pages };
}

/** Where a request came in. */
export interface Arrival {
  readonly listener: 'https' | 'http';
  /** Server name of the TLS handshake. */
  readonly sni?: string;
  /** Every Host field of the request. */
  readonly hosts: readonly string[];
}

/** The host a client may be taken to have meant, with what it is to us; `undefined` presented: our own name. */
export interface Addressed {
  /** Lower case, without port and trailing dot; IPv6 in brackets. */
  readonly host: string;
  /** Scheme, host and a port other than the scheme's own. */
  readonly origin: string;
  readonly presented: PresentedHost | undefined;
}

/**
 * Settles whom a request addresses. TLS is routed by SNI and Host must agree; without SNI only our own names can be
 * meant. Throws BAD_REQUEST for a missing, repeated or malformed Host and MISDIRECTED where the two disagree.
 */
export function addressed(table: RouteTable, arrival: Arrival): Addressed {
  const { host, port } = parseHost(arrival.hosts);
  const sni = arrival.sni === undefined ? undefined : withoutDot(arrival.sni.toLowerCase());
  const presented = table.presented(host);
  // A TLS session may be resumed for a name that was ours when it began.
  const isKnown = presented !== undefined || isOwn(table, host);
  if (arrival.listener === 'https' && !(isKnown && (sni === undefined ? presented === undefined : sni === host))) {
    throw new RegistryError('MISDIRECTED', 'the Host header names another host than the TLS handshake did');
  }
  const ownPort = arrival.listener === 'https' ? '443' : '80';
  const suffix = port === undefined || port === ownPort ? '' : `:${port}`;
  return { host, origin: `${arrival.listener}://${host}${suffix}`, presented };
}

function isOwn(table: RouteTable, host: string): boolean {
  const address = host.startsWith('[') ? host.slice(1, -1) : host;
  return table.names.has(address) || isIP(address) !== 0;
}

const HOST = /^(\[[0-9a-f:.]+\]|[a-z0-9_](?:[a-z0-9._-]*[a-z0-9_])?)\.?(?::([0-9]{1,5}))?$/;

function parseHost(hosts: readonly string[]): { host: string; port: string | undefined } {
  const [only = '', ...more] = hosts;
  const match = more.length > 0 || only.length > 260 ? null : HOST.exec(only.toLowerCase());
  if (match === null) throw new RegistryError('BAD_REQUEST', 'exactly one well-formed Host header is required');
  return { host: match[1] ?? '', port: match[2] };
}

function withoutDot(name: string): string {
  return name.endsWith('.') ? name.slice(0, -1) : name;
}
