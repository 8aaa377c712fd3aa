import { isIP } from 'node:net';
import type { Config, UpstreamConfig } from '../config/config.ts';
import { RegistryError } from '../oci/error.ts';

/** The part of the configuration that decides where a request goes, indexed by what requests spell. */
export interface RouteTable {
  /** Host names presented to clients. `auth`: the host only issues tokens. */
  readonly presented: ReadonlyMap<string, Presented>;
  /** By namespace. */
  readonly upstreams: ReadonlyMap<string, UpstreamConfig>;
  /** Our own host names and addresses, lower case. */
  readonly names: ReadonlySet<string>;
  /** Patterns of the repositories that are ours. */
  readonly hosted: readonly string[];
  /** What our own names mean when nothing else is said. */
  readonly fallback?: UpstreamConfig;
}

export interface Presented {
  readonly upstream: UpstreamConfig;
  readonly auth: boolean;
}

export type RoutedConfig = Pick<Config, 'upstreams' | 'names' | 'hosted' | 'mirror'>;

export function routeTable(config: RoutedConfig): RouteTable {
  const upstreams = new Map(Object.entries(config.upstreams));
  const presented = new Map<string, Presented>();
  for (const upstream of upstreams.values()) {
    for (const host of upstream.authHosts) presented.set(host, { upstream, auth: true });
    for (const host of upstream.hosts) presented.set(host, { upstream, auth: false });
  }
  const names = new Set(['localhost', ...config.names.map((name) => name.toLowerCase())]);
  const fallback = config.mirror.default === undefined ? undefined : upstreams.get(config.mirror.default);
  const table = { presented, upstreams, names, hosted: config.hosted.repositories };
  return fallback === undefined ? table : { ...table, fallback };
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
  readonly presented: Presented | undefined;
}

/**
 * Settles whom a request addresses. TLS is routed by SNI and Host must agree; without SNI only our own names can be
 * meant. Throws BAD_REQUEST for a missing, repeated or malformed Host and MISDIRECTED where the two disagree.
 */
export function addressed(table: RouteTable, arrival: Arrival): Addressed {
  const { host, port } = parseHost(arrival.hosts);
  const sni = arrival.sni === undefined ? undefined : withoutDot(arrival.sni.toLowerCase());
  if (arrival.listener === 'https' && !(sni === undefined ? isOwn(table, host) : sni === host)) {
    throw new RegistryError('MISDIRECTED', 'the Host header names another host than the TLS handshake did');
  }
  const ownPort = arrival.listener === 'https' ? '443' : '80';
  const suffix = port === undefined || port === ownPort ? '' : `:${port}`;
  return { host, origin: `${arrival.listener}://${host}${suffix}`, presented: table.presented.get(host) };
}

function isOwn(table: RouteTable, host: string): boolean {
  const address = host.startsWith('[') ? host.slice(1, -1) : host;
  return !table.presented.has(host) && (table.names.has(address) || isIP(address) !== 0);
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
