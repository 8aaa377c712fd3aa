import { matchesPattern } from '../oci/name.ts';
import type { AccountConfig, Config, UpstreamConfig } from './config.ts';
import { parseHost } from './grammar.ts';

/** What a host name means on the transparent door; `auth`: it only issues tokens. */
export interface PresentedHost {
  readonly upstream: UpstreamConfig;
  readonly auth: boolean;
}

/** Finds registries by what requests spell. */
export interface Lookup {
  /** What a host name (lower case, without port) is presented as. */
  presented(host: string): PresentedHost | undefined;
  upstream(namespace: string): UpstreamConfig | undefined;
}

/** Every presented host, in lower case and without port; a wildcard as it is written. */
export function presentedHosts({ upstreams }: Pick<Config, 'upstreams'>): ReadonlyMap<string, PresentedHost> {
  const presented = new Map<string, PresentedHost>();
  for (const upstream of Object.values(upstreams)) {
    for (const host of upstream.authHosts) presented.set(host, { upstream, auth: true });
    for (const host of upstream.hosts) presented.set(host, { upstream, auth: false });
  }
  return presented;
}

/** Whether a presented host is a wildcard, and its upstream a pattern for registries instead of one. */
export function isWildcard(host: string): boolean {
  return host.startsWith('*.');
}

/** The wildcard that a host name falls under, if there is one: `*.azurecr.io` for `acme.azurecr.io`. */
export function wildcardOf(host: string): string {
  return host.replace(/^[^.]*/, '*');
}

const REMEMBERED = 256;

/** A name that is written, be it a host or one of our own, is never what a wildcard stands for. */
export function openLookup(config: Pick<Config, 'upstreams' | 'names'>): Lookup {
  const named = new Map(Object.entries(config.upstreams));
  const written = presentedHosts(config);
  const made = new Map<string, UpstreamConfig>();
  const madeFor = (host: string): UpstreamConfig | undefined => {
    const template = written.has(host) ? undefined : written.get(wildcardOf(host))?.upstream;
    if (template === undefined || parseHost(host) === undefined || config.names.includes(host)) return undefined;
    const upstream = made.get(host) ?? upstreamAt(template, host);
    // Clients choose these names.
    if (made.size >= REMEMBERED) made.clear();
    made.set(host, upstream);
    return upstream;
  };
  return {
    presented: (host) => {
      const upstream = madeFor(host);
      if (upstream !== undefined) return { upstream, auth: false };
      return isWildcard(host) ? undefined : written.get(host);
    },
    upstream: (namespace) => {
      const upstream = named.get(namespace);
      return upstream === undefined || upstream.hosts.some(isWildcard) ? madeFor(namespace) : upstream;
    },
  };
}

/** The registry of its own that a wildcard makes of a host: in its URLs `*` is the host's first label, or the whole of it. */
function upstreamAt(template: UpstreamConfig, host: string): UpstreamConfig {
  const [label = ''] = host.split('.');
  const urls = template.urls.map((url) => new URL(url.href.replace('*', url.hostname === '*' ? host : label)));
  return { ...template, name: host, template: template.name, hosts: [host], urls };
}

/** The account of ours that is for a repository of an upstream. */
export function accountFor(
  { credentials }: Pick<UpstreamConfig, 'credentials'>,
  repository: string,
): AccountConfig | undefined {
  return credentials.find(
    ({ repositories }) => repositories?.some((pattern) => matchesPattern(pattern, repository)) ?? true,
  );
}
