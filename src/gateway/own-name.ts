import type { UpstreamConfig } from '../config/config.ts';
import type { Door } from '../events.ts';
import { RegistryError } from '../oci/error.ts';
import { isRepositoryName, matchesPattern } from '../oci/name.ts';
import { type Endpoint, parseEndpoint, type Repository } from '../oci/route.ts';
import type { Route } from '../registry/exchange.ts';
import type { RouteTable } from './door.ts';
import { cached, contentRoute, isApi, isContent, isRead, type Target, takeNamespace } from './target.ts';

/** How another gateway asks, whose base URL for an upstream is ours with the upstream's namespace: it appends `/v2`. */
const BELOW_NAMESPACE = /^\/([^/]+)(\/v2(?:\/.*)?)$/;

/** Routes a request on one of our own names: the mirror door, the path door and our own pages. */
export function routeOwnName(table: RouteTable, method: string, origin: string, path: string, query: string): Target {
  if (!isApi(path)) {
    const [, named = '', below] = BELOW_NAMESPACE.exec(path) ?? [];
    if (below === undefined) return routePage(table, method, origin, path, query);
    return routeOwnName(table, method, origin, below, `ns=${encodeURIComponent(named)}&${query}`);
  }
  const { namespace, rest } = takeNamespace(query);
  const named = namespace === undefined ? undefined : upstreamNamed(table, namespace);
  const endpoint = parseEndpoint(path);
  if (endpoint.kind === 'ping') {
    if (!isRead(method)) throw new RegistryError('UNSUPPORTED');
    return { kind: 'registry', door: 'own', origin, route: { kind: 'ping' } };
  }
  if (endpoint.kind === 'catalog' && named === undefined && isRead(method)) {
    return { kind: 'registry', door: 'own', origin, route: { kind: 'catalog', query: rest } };
  }
  if (endpoint.kind === 'token' && table.issuesTokens && (method === 'GET' || method === 'POST'))
    return { kind: 'registry', door: 'own', origin, route: { kind: 'token', query } };
  const name = nameOf(endpoint);
  const found = named === undefined ? locateByPath(table, name) : located('mirror', cached(named, name));
  if (!isRead(method) || endpoint.kind === 'upload') {
    const repository = pushable(table, name, found?.repository);
    return { kind: 'registry', door: 'path', origin, route: pushRoute(table, endpoint, repository, rest) };
  }
  if (found === undefined) throw new RegistryError('NAME_UNKNOWN', `no upstream is configured for ${name}`);
  if (!isContent(endpoint)) throw unverifiable();
  const route = contentRoute(endpoint, found.repository, rest);
  const asked = route.kind === 'manifest' && rest !== '' ? { ...route, query: rest } : route;
  return { kind: 'registry', door: found.door, origin, route: asked };
}

function routePage(table: RouteTable, method: string, origin: string, path: string, query: string): Target {
  if (!table.pages.has(path)) throw new RegistryError('UNSUPPORTED', 'no such page', { status: 404 });
  if (!isRead(method)) throw new RegistryError('UNSUPPORTED');
  return { kind: 'page', page: path, query, origin };
}

function nameOf(endpoint: Endpoint): string {
  const name = 'name' in endpoint ? endpoint.name : undefined;
  if (name === undefined) throw new RegistryError('UNSUPPORTED', 'no such endpoint', { status: 404 });
  return name;
}

interface Located {
  readonly door: Door;
  readonly repository: Repository;
}

/** An unknown namespace fails at once, so that clients fall back to the registry itself. */
function upstreamNamed(table: RouteTable, namespace: string): UpstreamConfig {
  const upstream = table.upstream(namespace) ?? table.presented(namespace)?.upstream;
  if (upstream === undefined) throw new RegistryError('NAME_UNKNOWN', 'ns names no upstream configured here');
  return upstream;
}

function locateByPath(table: RouteTable, name: string): Located | undefined {
  const slash = name.indexOf('/');
  const upstream = slash < 0 ? undefined : table.upstream(name.slice(0, slash));
  if (upstream !== undefined) return located('path', cached(upstream, name.slice(slash + 1)));
  const hosted = table.hosted.repositories.some((pattern) => matchesPattern(pattern, name));
  if (hosted) return located('path', { root: 'hosted', upstream: '', name });
  return table.fallback && located('mirror', cached(table.fallback, name));
}

function located(door: Door, repository: Repository): Located {
  return { door, repository };
}

/** The repository, if it is ours and takes pushes; throws what to set where it is not. */
function pushable({ hosted }: RouteTable, name: string, repository: Repository | undefined): Repository {
  if (repository?.root !== 'hosted') {
    throw new RegistryError('DENIED', `${name} is not hosted here: to push it, add a pattern to hosted.repositories`);
  }
  if (hosted.push !== 'none') return repository;
  throw new RegistryError(
    'DENIED',
    `${name} is hosted here, but nobody may push: to allow it, set hosted.push: users, or hosted.push: anyone`,
  );
}

function pushRoute(table: RouteTable, endpoint: Endpoint, repository: Repository, query: string): Route {
  if (endpoint.kind === 'upload') {
    const name = new URLSearchParams(query).get('from');
    const from = name !== null && isRepositoryName(name) ? locateByPath(table, name)?.repository : undefined;
    const { session } = endpoint;
    return { kind: 'upload', repository, query, ...(session && { session }), ...(from && { from }) };
  }
  if (!isContent(endpoint)) throw unverifiable();
  const route = contentRoute(endpoint, repository, query);
  return route.kind === 'manifest' ? { ...route, query } : route;
}

function unverifiable(): RegistryError {
  return new RegistryError('DIGEST_INVALID', 'only sha256 and sha512 digests can be verified');
}
