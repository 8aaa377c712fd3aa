import { isIP } from 'node:net';
import { hostOf, isHostName, portOf } from './address.ts';
import { UpstreamError, type UpstreamOptions } from './contract.ts';

/** The part of an upstream's options that says where it may lead us. */
export type Rules = Pick<UpstreamOptions, 'name' | 'urls' | 'tokenHosts' | 'blobHosts'>;

/** Where a redirect leads. */
export interface Destination {
  readonly url: URL;
  /** Not named in the configuration: it must not have a private address. */
  readonly guarded: boolean;
}

/**
 * The URL of the token server that a challenge of the upstream itself names, or an UpstreamError: only `urls` and
 * `tokenHosts` may be asked, over https unless the entry says a port. `lax` when the upstream's own URL is http or
 * private: then an entry without a port allows http as well.
 */
export function checkRealm(realm: string, rules: Rules, lax: boolean): URL {
  const url = parse(realm);
  const ours = url !== undefined && rules.urls.some((own) => own.origin === url.origin);
  if (url !== undefined && (ours || isListed(url, rules.tokenHosts, lax))) return url;
  throw refusal(rules, 'token server', url, 'tokenHosts');
}

/**
 * The URL of the token server of another registry that a redirect led to. Nothing secret is sent there, so its own
 * host and hosts of the same domain may be asked, over https unless the redirect itself was allowed to http.
 */
export function checkForeignRealm(realm: string, registry: URL, rules: Rules, lax: boolean): URL {
  const url = parse(realm);
  if (url !== undefined && url.origin === registry.origin) return url;
  if (url !== undefined && isListed(url, rules.tokenHosts, lax)) return url;
  const related = url?.protocol === 'https:' && isHostName(url.hostname) && domain(url) === domain(registry);
  if (url !== undefined && related && url.port === '') return url;
  throw refusal(rules, 'token server', url, 'tokenHosts');
}

/**
 * Where a Location leads, or an UpstreamError: http and IP addresses only when `lax` or when the host is one of
 * `urls` and `blobHosts`.
 */
export function checkRedirect(location: string, from: URL, rules: Rules, lax: boolean): Destination {
  const url = parse(location, from);
  if (url === undefined) throw refusal(rules, 'redirect', undefined, 'blobHosts');
  const named = rules.urls.some((own) => own.origin === url.origin) || isListed(url, rules.blobHosts, true);
  if (named || lax) return { url, guarded: false };
  if (url.protocol === 'https:' && isHostName(url.hostname)) return { url, guarded: true };
  throw refusal(rules, 'redirect', url, 'blobHosts');
}

function parse(text: string, base?: URL): URL | undefined {
  if (text.length > 8_192 || !/^[\x21-\x7e]+$/.test(text) || text.includes('\\')) return undefined;
  const url = URL.parse(text, base?.href);
  if (url === null || !/^https?:$/.test(url.protocol) || url.username !== '' || url.password !== '') return undefined;
  if (isIP(hostOf(url)) === 0 && !isHostName(url.hostname)) return undefined;
  url.hash = '';
  return url;
}

/** An entry without a port means https on 443, and with `lax` also http on 80. */
function isListed(url: URL, entries: readonly string[], lax: boolean): boolean {
  const host = `${url.hostname}:${portOf(url)}`;
  return entries.some((entry) => {
    const listed = entry.toLowerCase();
    return listed === host || (listed === url.hostname && url.port === '' && (lax || url.protocol === 'https:'));
  });
}

/** The last two labels: enough to tell relatives from strangers where nothing secret is at stake. */
function domain(url: URL): string {
  return url.hostname.split('.').slice(-2).join('.');
}

function refusal(rules: Rules, what: string, url: URL | undefined, key: string): UpstreamError {
  const where = url === undefined ? 'malformed' : `not allowed: ${url.protocol}//${url.host} (${key})`;
  return new UpstreamError('protocol', `${rules.name} names a ${what} that is ${where}`);
}
