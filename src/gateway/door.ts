import { isIP } from 'node:net';
import type { Config, UpstreamConfig } from '../config/config.ts';
import { type Lookup, openLookup, type PresentedHost } from '../config/lookup.ts';
import { RegistryError } from '../oci/error.ts';
import type { Arrival } from './arrival.ts';

/** The part of the configuration that decides where a request goes, indexed by what requests spell. */
export interface RouteTable extends Lookup {
  /** Our own host names and addresses, lower case. */
  readonly names: ReadonlySet<string>;
  readonly hosted: RoutedConfig['hosted'];
  /** Tokens are given out on our own names. */
  readonly issuesTokens: boolean;
  /** What our own names mean when nothing else is said. */
  readonly fallback?: UpstreamConfig | undefined;
  /** The paths of our own pages. */
  readonly pages: Pick<ReadonlySet<string>, 'has'>;
}

export interface RoutedConfig extends Pick<Config, 'upstreams' | 'names'> {
  readonly hosted: Omit<Config['hosted'], 'read'>;
  readonly mirror: Pick<Config['mirror'], 'default'>;
  readonly users?: Config['users'];
}

export function routeTable(config: RoutedConfig, pages: RouteTable['pages']): RouteTable {
  const lookup = openLookup(config);
  const names = new Set(['localhost', ...config.names.map((name) => name.toLowerCase())]);
  const fallback = config.mirror.default === undefined ? undefined : lookup.upstream(config.mirror.default);
  return { ...lookup, names, hosted: config.hosted, issuesTokens: config.users?.file !== undefined, fallback, pages };
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
 * meant. A proxy that is believed has settled that itself. Throws BAD_REQUEST for a missing, repeated or malformed Host and MISDIRECTED where the two disagree.
 */
export function addressed(table: RouteTable, arrival: Arrival): Addressed {
  const { host, port } = parseHost(arrival.hosts, 'Host');
  const sni = arrival.sni === undefined ? undefined : withoutDot(arrival.sni.toLowerCase());
  const presented = table.presented(host);
  // A TLS session may be resumed for a name that was ours when it began.
  const isKnown = presented !== undefined || isOwn(table, host);
  if (arrival.listener === 'https' && !(isKnown && (sni === undefined ? presented === undefined : sni === host))) {
    throw new RegistryError('MISDIRECTED', 'the Host header names another host than the TLS handshake did');
  }
  return { host, origin: originOf(arrival, { host, port }, presented !== undefined), presented };
}

/** A registry is spoken to over TLS, unless the proxy says otherwise. */
function originOf({ listener, proxied }: Arrival, asked: Host, isPresented: boolean): string {
  const { host, port } = proxied?.hosts.length ? parseHost(proxied.hosts, 'X-Forwarded-Host') : asked;
  const scheme = proxied?.scheme ?? (proxied && isPresented ? 'https' : listener);
  const ownPort = scheme === 'https' ? '443' : '80';
  return `${scheme}://${host}${port === undefined || port === ownPort ? '' : `:${port}`}`;
}

function isOwn(table: RouteTable, host: string): boolean {
  const address = host.startsWith('[') ? host.slice(1, -1) : host;
  return table.names.has(address) || isIP(address) !== 0;
}

const HOST = /^(\[[0-9a-f:.]+\]|[a-z0-9_](?:[a-z0-9._-]*[a-z0-9_])?)\.?(?::([0-9]{1,5}))?$/;

interface Host {
  readonly host: string;
  readonly port: string | undefined;
}

function parseHost(hosts: readonly string[], field: string): Host {
  const [only = '', ...more] = hosts;
  const match = more.length > 0 || only.length > 260 ? null : HOST.exec(only.toLowerCase());
  if (match === null) throw new RegistryError('BAD_REQUEST', `exactly one well-formed ${field} header is required`);
  return { host: match[1] ?? '', port: match[2] };
}

function withoutDot(name: string): string {
  return name.endsWith('.') ? name.slice(0, -1) : name;
}
