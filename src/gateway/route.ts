import type { UpstreamConfig } from '../config/config.ts';
import type { PresentedHost } from '../config/lookup.ts';
import { RegistryError } from '../oci/error.ts';
import { parseEndpoint, TOKEN_PATH } from '../oci/route.ts';
import type { Arrival } from './arrival.ts';
import { type Addressed, addressed, type RouteTable } from './door.ts';
import { routeOwnName } from './own-name.ts';
import { cached, contentRoute, isApi, isContent, isRead, type Target, takeNamespace } from './target.ts';

/** A request as far as routing looks at it. */
export interface Asked extends Arrival {
  readonly method: string;
  /** The request target as it stood on the wire. */
  readonly target: string;
}

/** Decides what a request asks for; throws a RegistryError where it asks for nothing we may answer. */
export function route(table: RouteTable, asked: Asked): Target {
  const { path, query } = splitTarget(asked.target);
  const to = addressed(table, asked);
  if (to.presented === undefined) return routeOwnName(table, asked.method, to.origin, path, query);
  if (asked.listener === 'https' || asked.proxied) return routePresented(asked, to, to.presented, path, query);
  if (!isApi(path)) return { kind: 'redirect', location: `https://${to.host}${asked.target}` };
  throw new RegistryError('MISDIRECTED', `${to.host} is served over https only`);
}

const DOT_SEGMENT = /\/(?:\.|%2e){1,2}(?:\/|$)/i;

function splitTarget(target: string): { path: string; query: string } {
  const at = target.indexOf('?');
  const path = at < 0 ? target : target.slice(0, at);
  const query = at < 0 ? '' : target.slice(at + 1);
  const wellFormed = /^\/[\x21-\x7e]*$/.test(target) && !/^\/\/|[\\#]/.test(path) && !DOT_SEGMENT.test(path);
  if (!wellFormed) throw new RegistryError('BAD_REQUEST', 'the request target is not a plain absolute path');
  return { path, query };
}

function routePresented(asked: Asked, to: Addressed, presented: PresentedHost, path: string, query: string): Target {
  const { method } = asked;
  const { host, origin } = to;
  const { upstream, auth } = presented;
  const door = 'transparent';
  const issues = path === TOKEN_PATH || (path === '/token' && (auth || hasOwnTokens(upstream, host)));
  if (issues && (method === 'GET' || method === 'POST')) {
    return { kind: 'registry', door, origin, route: { kind: 'token', upstream: upstream.name, query } };
  }
  if (path === TOKEN_PATH) throw new RegistryError('UNSUPPORTED', 'tokens are asked for by GET or POST');
  const site = new URL(`https://${host}`);
  const pass = { kind: 'pass', door, origin, upstream: upstream.name } as const;
  if (auth || !isApi(path)) return { ...pass, base: site, path: asked.target, api: false };

  const { rest } = takeNamespace(query);
  const endpoint = parseEndpoint(path);
  if (endpoint.kind === 'ping' && isRead(method)) {
    return { kind: 'registry', door, origin, route: { kind: 'ping', upstream: upstream.name } };
  }
  if (isContent(endpoint) && isRead(method)) {
    return { kind: 'registry', door, origin, route: contentRoute(endpoint, cached(upstream, endpoint.name), rest) };
  }
  const target = { ...pass, base: upstream.urls[0] ?? site, path: rest === '' ? path : `${path}?${rest}`, api: true };
  const name = 'name' in endpoint ? endpoint.name : undefined;
  if (name === undefined) return target;
  const reference = endpoint.kind === 'manifest' && { reference: endpoint.reference };
  return { ...target, subject: { repository: cached(upstream, name), ...reference } };
}

/** Whether `/token` is where this registry itself issues tokens, under a name that clients see. */
function hasOwnTokens(upstream: UpstreamConfig, host: string): boolean {
  if (upstream.tokenHosts.length > 0) return upstream.tokenHosts.includes(host);
  return upstream.urls.some((url) => url.hostname === host);
}
