import type { UpstreamConfig } from '../config/config.ts';
import type { Door } from '../events.ts';
import type { Endpoint, Reference, Repository } from '../oci/route.ts';
import type { Route } from '../registry/exchange.ts';

/** What becomes of a request: the one value every later step works from. */
export type Target =
  | { readonly kind: 'registry'; readonly door: Door; readonly route: Route; readonly origin: string }
  | PassTarget
  | { readonly kind: 'redirect'; readonly location: string }
  | { readonly kind: 'page'; readonly page: string; readonly query: string; readonly origin: string };

/** A request that goes to the upstream as it is, because it is neither cacheable nor ours. */
export interface PassTarget {
  readonly kind: 'pass';
  readonly door: 'transparent';
  readonly origin: string;
  readonly upstream: string;
  /** Where it goes; the path of this URL is put before `path`. */
  readonly base: URL;
  /** Path and query to ask for, bytes as the client sent them. */
  readonly path: string;
  /** A request of the registry protocol, not one for a web page. */
  readonly api: boolean;
  /** The repository it is about, and the manifest, if it is about one. */
  readonly subject?: { readonly repository: Repository; readonly reference?: Reference };
}

/** Whether a path belongs to the registry protocol. */
export function isApi(path: string): boolean {
  return path === '/v2' || path.startsWith('/v2/');
}

/** HEAD is GET without the body, everywhere. */
export function isRead(method: string): boolean {
  return method === 'GET' || method === 'HEAD';
}

export function cached(upstream: UpstreamConfig, name: string): Repository {
  return { root: 'cache', upstream: upstream.name, name };
}

/** An endpoint that speaks of a repository's content and can be read. */
export type ContentEndpoint = Extract<Endpoint, { kind: 'manifest' | 'blob' | 'tags' | 'referrers' }>;

export function isContent(endpoint: Endpoint): endpoint is ContentEndpoint {
  const { kind } = endpoint;
  return kind === 'manifest' || kind === 'blob' || kind === 'tags' || kind === 'referrers';
}

export function contentRoute(endpoint: ContentEndpoint, repository: Repository, query: string): Route {
  switch (endpoint.kind) {
    case 'manifest':
      return { kind: 'manifest', repository, reference: endpoint.reference };
    case 'blob':
      return { kind: 'blob', repository, digest: endpoint.digest };
    case 'tags':
      return { kind: 'tags', repository, query };
    case 'referrers':
      return { kind: 'referrers', repository, digest: endpoint.digest, query };
  }
}

/** Takes `ns`, which names the upstream a mirror stands for (distribution-spec, "Registry Proxying"), out of a query. */
export function takeNamespace(query: string): { readonly namespace?: string; readonly rest: string } {
  const fields = query.split('&');
  const named = fields.find((field) => field.startsWith('ns='));
  const rest = fields.filter((field) => !field.startsWith('ns=')).join('&');
  const namespace = new URLSearchParams(named).get('ns');
  return namespace === null ? { rest } : { namespace: namespace.toLowerCase(), rest };
}
