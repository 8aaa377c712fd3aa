import { isIP, isIPv6 } from 'node:net';
import { isRepositoryName, isTag } from '../oci/name.ts';
import type { ListenAddress } from './config.ts';

const LABEL = /^(?!-)[a-z0-9-]{1,63}(?<!-)$/;
const NUMERIC_LABEL = /^(?:\d+|0x[0-9a-f]*)$/;

/** A DNS host name in lower case. A last label that is a number is refused: URL parsers read such names as IPv4. */
export function parseHost(text: string): string | undefined {
  const host = text.toLowerCase();
  const labels = host.split('.');
  if (host.length > 253 || !labels.every((label) => LABEL.test(label))) return undefined;
  return NUMERIC_LABEL.test(labels.at(-1) ?? '') ? undefined : host;
}

/** A DNS host name or an IP address, in lower case; an IPv6 address without brackets. */
export function parseHostOrIp(text: string): string | undefined {
  return parseIp(text) ?? parseHost(text);
}

/** An IP address in lower case, without zone. */
export function parseIp(text: string): string | undefined {
  return isIP(text) === 0 || text.includes('%') ? undefined : text.toLowerCase();
}

/** `address/prefix` or an address alone, in lower case. */
export function parseNetwork(text: string): string | undefined {
  const [address = '', prefix, ...rest] = text.split('/');
  const ip = parseIp(address);
  if (ip === undefined || rest.length > 0) return undefined;
  if (prefix === undefined) return `${ip}/${isIPv6(ip) ? 128 : 32}`;
  return /^\d{1,3}$/.test(prefix) && Number(prefix) <= (isIPv6(ip) ? 128 : 32) ? `${ip}/${prefix}` : undefined;
}

interface Peer {
  readonly host: string;
  readonly port?: number;
}

/** `host`, `host:port`, `[v6]` or `[v6]:port`; the host may be empty. */
function splitPeer(text: string): Peer | undefined {
  const match = /^(?:\[([^\]]+)\]|([^:[\]]*))(?::(\d{1,5}))?$/.exec(text);
  if (match === null) return undefined;
  const [, bracketed, plain = '', port] = match;
  const host = bracketed === undefined ? plain : parseIp(bracketed);
  if (host === undefined || (bracketed !== undefined && !isIPv6(bracketed)) || Number(port ?? 0) > 65535)
    return undefined;
  return port === undefined ? { host } : { host, port: Number(port) };
}

/** `host:port`, `[::]:443` or `:5000` (every interface, both families); port 0 lets the system choose. */
export function parseAddress(text: string): ListenAddress | undefined {
  const peer = splitPeer(text);
  if (peer?.port === undefined) return undefined;
  const host = peer.host === '' ? '::' : parseHostOrIp(peer.host);
  return host === undefined ? undefined : { host, port: peer.port };
}

/** `host[:port]` of another machine, in lower case. */
export function parsePeer(text: string): string | undefined {
  const peer = splitPeer(text);
  if (peer === undefined || peer.port === 0 || parseHostOrIp(peer.host) === undefined) return undefined;
  return text.toLowerCase();
}

/** The name of `host[:port]` as clients write it in front of a repository. SNI carries neither ports nor IP addresses. */
export function parsePresentedHost(text: string): string | undefined {
  const peer = splitPeer(text);
  return peer === undefined || peer.port === 0 ? undefined : parseHost(peer.host);
}

/** A presented host, or a wildcard for the first label of names with at least two more. */
export function parsePresented(text: string): string | undefined {
  if (!text.startsWith('*.')) return parsePresentedHost(text);
  const parent = parsePresentedHost(text.slice(2));
  return parent?.includes('.') ? `*.${parent}` : undefined;
}

/** `ip[:port]` in the form that `dns.Resolver.setServers` takes. */
export function parseNameServer(text: string): string | undefined {
  const peer = splitPeer(text);
  if (peer === undefined) return parseIp(text);
  return peer.port === 0 || parseIp(peer.host) === undefined ? undefined : text.toLowerCase();
}

/** The http or https address that `/v2/` is appended to; without credentials, query, fragment and trailing slash. */
export function parseBaseUrl(text: string): URL | undefined {
  const url = URL.parse(text);
  if (url === null || !/^https?:\/\//i.test(text) || !/^https?:$/.test(url.protocol)) return undefined;
  if (url.username !== '' || url.password !== '' || /[?#\\\s]/.test(text) || url.port === '0') return undefined;
  if (url.href.replace(/^https?:\/\/\*(?=[.:/])/, '').includes('*')) return undefined;
  url.pathname = url.pathname.replace(/\/+$/, '');
  return url.pathname.endsWith('/v2') ? undefined : url;
}

/** The units in their order. It matches the empty text too. */
export const DURATION = /^(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?(?:(\d+)ms)?$/;
const UNITS = [86_400_000, 3_600_000, 60_000, 1000, 1];
const LONGEST = 36_500 * 86_400_000;

/** Milliseconds of a duration such as `30d`, `1h30m` or `500ms`, largest unit first; at most a hundred years. */
export function parseDuration(text: string): number | undefined {
  const match = DURATION.exec(text);
  if (match === null || text === '') return undefined;
  const total = UNITS.reduce((sum, unit, index) => sum + unit * Number(match[index + 1] ?? 0), 0);
  return total <= LONGEST ? total : undefined;
}

const SIZE = /^(\d{1,9})([kmgt])?$/;
const SIZE_UNITS: Readonly<Record<string, number>> = { k: 2 ** 10, m: 2 ** 20, g: 2 ** 30, t: 2 ** 40 };

/** Bytes of a size such as `100m` or `50g`; the units are powers of 1024. */
export function parseSize(text: string): number | undefined {
  const match = SIZE.exec(text.toLowerCase());
  if (match === null) return undefined;
  const size = Number(match[1]) * (SIZE_UNITS[match[2] ?? ''] ?? 1);
  return Number.isSafeInteger(size) ? size : undefined;
}

/** Bytes per second, written as a size; fewer than 16 KiB would be taken for silence. */
export function parseBandwidth(text: string): number | undefined {
  const size = parseSize(text);
  return size === undefined || size < 2 ** 14 ? undefined : size;
}

/** `count/span`, where a unit alone stands for one of it: `100/6h`, `5/s`. */
export function parseRate(text: string): { readonly count: number; readonly span: number } | undefined {
  const [, count = '', spanText = ''] = /^(\d{1,5})\/(\w+)$/.exec(text) ?? [];
  const span = parseDuration(/^\d/.test(spanText) ? spanText : `1${spanText}`) ?? 0;
  return Number(count) > 0 && span > 0 ? { count: Number(count), span } : undefined;
}

/** A word for logs: letters, digits, dots, hyphens and underscores. */
export function parseWord(text: string): string | undefined {
  return /^[\w.-]{1,64}$/.test(text) ? text : undefined;
}

/** A pattern that `matchesPattern` understands: a repository name with `*` in components, or `**` as a component. */
export function parsePattern(text: string): string | undefined {
  const doubled = text.split('/').some((component) => component.includes('**') && component !== '**');
  return !doubled && isRepositoryName(text.replaceAll(/\*+/g, 'a')) ? text : undefined;
}

/** A repository pattern, alone or with a pattern of tags behind a colon, in which `*` stands for any characters. */
export function parseImagePattern(text: string): string | undefined {
  const [repositories = '', tags, ...rest] = text.split(':');
  if (parsePattern(repositories) === undefined || rest.length > 0) return undefined;
  return tags === undefined || isTag(tags.replaceAll(/\*+/g, 'a')) ? text : undefined;
}

/** Whether `text` can be a namespace: the first component of a repository name, so without a port. */
export function isNamespace(text: string): boolean {
  return isRepositoryName(text) && !text.includes('/');
}

/** A file system path, which only must not be empty or hold a NUL. */
export function parsePath(text: string): string | undefined {
  return text === '' || text.includes('\0') ? undefined : text;
}
